"""Windows of a max pool whose two largest values are next to equal.

Float32 and float64 may disagree about which is the largest. The gradient takes another way then,
and a difference says nothing about the code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from zoo.arch import Graph
from zoo.arch.operators import Concat, Conv2d, MaxPool2d
from zoo.passes import Weights

GAP = 3e-6
"""How far apart, relative to the largest value of its channel, the two largest of a window should
be."""
TRIES = 16
"""How often weights are changed to get there."""
LIFT = 0.5
"""How far a channel is shifted at a time, in units of its batch norm's scale."""
CHANGE = 2.0**-6
"""By how much of its size a row is changed: enough for another draw of all of its windows, too
little to change anything else."""


def sources(graph: Graph, name: str, start: int = 0) -> Iterator[tuple[str, slice]]:
    """Yield the convolutions whose channels become some of a value one by one, and which."""
    node = graph.by_name.get(name)
    if node is None:
        return
    if isinstance(node.op, Conv2d):
        yield node.name, slice(start, start + node.op.out_channels)
    elif isinstance(node.op, Concat):
        for part in node.inputs:
            yield from sources(graph, part, start)
            start += graph.shapes()[part][1]
    elif node.op.traits.channels == "each":
        yield from sources(graph, node.inputs[-1], start)


def closest(op: MaxPool2d, x: np.ndarray) -> np.ndarray:
    """Return for each channel how near the two largest values of a window come.

    The unit is the largest value of the channel. Values that are equal to the last bit were clipped
    to the same 0, which has no gradient to send, or are one value that pools before have handed to
    two places, to which either way leads.
    """
    first = np.full(op.output_shape(x.shape), -np.inf)
    second = first
    for seen in windows_of(op, x):
        second = np.maximum(np.minimum(first, seen), second)
        first = np.maximum(first, seen)
    gap = np.where(first == second, np.inf, first - second)
    scale = np.abs(x).max((0, 2, 3))
    return np.asarray(gap.min((0, 2, 3)) / np.where(scale > 0, scale, 1.0))


def unseen(op: MaxPool2d, x: np.ndarray, branch: np.ndarray) -> np.ndarray:
    """Return the channels in which a summand of ``x`` is 0 wherever ``x`` is the largest.

    No gradient goes there then, and what the summand is elsewhere does not matter.
    """
    largest = np.max(list(windows_of(op, x)), axis=0)
    reached = np.zeros(x.shape[1], bool)
    for whole, own in zip(windows_of(op, x), windows_of(op, branch), strict=True):
        reached |= ((whole == largest) & (own != 0)).any((0, 2, 3))
    return np.flatnonzero(~reached)


def windows_of(op: MaxPool2d, x: np.ndarray) -> list[np.ndarray]:
    """Return for each offset of the window the values that it sees, -inf where it sees none."""
    top, left, bottom, right = op.resolved((x.shape[2], x.shape[3]))
    padding = ((0, 0), (0, 0), (top, bottom), (left, right))
    padded = np.pad(x, padding, constant_values=-np.inf)
    rows, columns = (n - k + 1 for n, k in zip(padded.shape[2:], op.kernel_size, strict=True))
    return [
        padded[:, :, i : i + rows : op.stride[0], j : j + columns : op.stride[1]]
        for i, j in itertools.product(*map(range, op.kernel_size))
    ]


def lift(found: Weights, node: str, channels: np.ndarray) -> None:
    """Shift channels up, so that more of them is not clipped."""
    found[f"{node}.bias"][channels] += np.float32(LIFT) * np.abs(found[f"{node}.weight"][channels])


def redraw(found: Weights, conv: str, channels: np.ndarray, rng: np.random.Generator) -> None:
    """Change the rows of a convolution that make some channels, a little and at random."""
    weight = found[f"{conv}.weight"]
    rows = weight[channels]
    factors = 1 + CHANGE * rng.uniform(-1, 1, rows.shape)
    weight[channels] = (rows * factors).astype(np.float32)
