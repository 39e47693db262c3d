"""Which pixels the offsets of a window see, and which convolutions see what an activation makes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from backends.numpy.operators import apply
from zoo.arch import Graph, Operator
from zoo.arch.operators import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    MaxPool2d,
    Mul,
    Window,
)

FEW = 256
"""Of so many values of a drawn channel, some are not clipped. An offset that sees fewer, at the
edge of a small map, may see nothing else."""

Places = dict[tuple[int, int], tuple[tuple[slice, slice], tuple[slice, slice]]]
"""Offset of a window → the pixels that it sees, and of which outputs."""


def places(op: Window, size: tuple[int, ...], made: tuple[int, ...]) -> Places:
    """Return for each offset of a window which pixels it sees, and of which outputs.

    Without those in the padding; an offset that sees nothing else is not there.

    Args:
        op: a convolution or pool.
        size: height and width of its input.
        made: height and width of its output.
    """
    dilation = op.dilation if isinstance(op, Conv2d) else (1, 1)
    padding = op.resolved((size[0], size[1]))[:2]
    axes = []
    for axis in (0, 1):
        found = {}
        for tap in range(op.kernel_size[axis]):
            start, step = tap * dilation[axis] - padding[axis], op.stride[axis]
            outputs = [o for o in range(made[axis]) if 0 <= start + o * step < size[axis]]
            if outputs:
                pixels = slice(start + outputs[0] * step, start + outputs[-1] * step + 1, step)
                found[tap] = pixels, slice(outputs[0], outputs[-1] + 1)
        axes.append(found)
    return {
        (i, j): ((axes[0][i][0], axes[1][j][0]), (axes[0][i][1], axes[1][j][1]))
        for i, j in itertools.product(*axes)
    }


@dataclass(frozen=True)
class Sight:
    """What reads the channels of a value, and not all of their pixels alike.

    Attributes:
        conv: a convolution with a window, or a stride; a layer that reads the pixels as channels
            has none.
        pools: the pools before it.
    """

    conv: Conv2d | None
    pools: tuple[Operator, ...] = ()


def sights(graph: Graph, name: str) -> Iterator[Sight]:
    """Yield what reads the channels of a value and does not see all pixels alike."""
    for node in graph.nodes:
        if name not in node.inputs:
            continue
        if isinstance(node.op, Conv2d):
            if (node.op.kernel_size, node.op.stride) != ((1, 1), (1, 1)):
                yield Sight(node.op)
        elif isinstance(node.op, Flatten):
            yield Sight(None)
        elif isinstance(node.op, MaxPool2d | AdaptiveAvgPool2d):
            for sight in sights(graph, node.name):
                yield replace(sight, pools=(node.op, *sight.pools))
        elif node.op.traits.channels == "moved" or isinstance(node.op, Dropout | Mul):
            yield from sights(graph, node.name)


def least_seen(x: np.ndarray, found: list[Sight]) -> np.ndarray:
    """Return for each channel the largest value of the offset that sees the smallest ones.

    Infinity where all offsets see many.
    """
    least = np.full(x.shape[1], np.inf)
    for sight in found:
        seen, conv = x, sight.conv
        for pool in sight.pools:
            seen = apply(pool, [seen], {}, False)
        if conv is None:
            if seen[0, 0].size > 1:
                least = np.minimum(least, seen.max(0).reshape(len(least), -1).min(1))
            continue
        made = conv.output_shape((len(seen), conv.in_channels, *seen.shape[2:]))
        for inputs, _ in places(conv, seen.shape[2:], made[2:]).values():
            own = seen[(..., *inputs)]
            if own.size <= FEW * own.shape[1]:
                least = np.minimum(least, own.max((0, 2, 3)))
    return least
