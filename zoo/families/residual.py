"""What ResNets and RegNets have in common: convolutions by name, and a shortcut where needed."""

from __future__ import annotations

from zoo.arch.builder import GraphBuilder


def conv(
    g: GraphBuilder,
    x: str,
    name: str,
    channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    relu: bool = True,
) -> str:
    """Add a convolution with batch norm, in a scope of its own."""
    with g.scope(name):
        x = g.conv_bn(x, channels, kernel_size=kernel_size, stride=stride, groups=groups)
        return g.relu(x) if relu else x


def joined(g: GraphBuilder, x: str, branch: str, stride: int, *, begins: bool = False) -> str:
    """Add the sum of a unit, its shortcut a convolution where the branch has another shape.

    One that ``begins`` a stage, which others halve, has it whatever its stem leaves of that.
    """
    if begins or stride != 1 or g.channels(x) != g.channels(branch):
        x = conv(g, x, "shortcut", g.channels(branch), 1, stride, relu=False)
    return g.relu(g.add(x, branch))
