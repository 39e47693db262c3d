"""What several families read off the shapes of their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.arch.operator import Shape


def stages_by_shortcut(units: Sequence[Mapping[str, Shape]]) -> tuple[list[int], list[int]]:
    """Return (channels, repeats) of the stages, told by the shapes of the units.

    A unit with a shortcut of its own begins a stage.

    Raises:
        LookupError: the first unit has none, or a layer is missing.
    """
    channels: list[int] = []
    repeats: list[int] = []
    for unit in units:
        if "shortcut.expand.conv.weight" in unit:
            branches = ("expand.conv.weight", "shortcut.expand.conv.weight")
            channels.append(sum(unit[branch][0] for branch in branches))
            repeats.append(0)
        repeats[-1] += 1
    return channels, repeats
