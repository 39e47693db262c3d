"""What ShuffleNets V2 have in common: half of the channels passes a unit by."""

from __future__ import annotations

from zoo.arch.builder import GraphBuilder


def halves(g: GraphBuilder, x: str) -> tuple[str, str]:
    """Add a split into (the first half of the channels, the second)."""
    channels = g.channels(x)
    with g.scope("split"):
        first = g.slice(x, 0, channels // 2, name="0")
        return first, g.slice(x, channels // 2, channels, name="1")


def even_and_odd(g: GraphBuilder, x: str) -> tuple[str, str]:
    """Add a split into (the even channels, the odd ones)."""
    return halves(g, g.channel_shuffle(x, 2, "ng"))
