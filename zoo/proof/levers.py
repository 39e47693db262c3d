"""What moves the values that an activation sees, and how they are moved clear of its kinks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zoo.arch import Graph
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    Mul,
    Reshape,
)
from zoo.passes import Weights

REACH = 0.05
"""How far a channel may be shifted to clear a kink, in deviations of what is shifted."""


@dataclass(frozen=True)
class Lever:
    """What moves a value: the bias of a node.

    Attributes:
        node: a batch norm, or a convolution or linear layer with a bias.
        channels: which channels of the value it moves, all of its own.
        direct: whether these are its own output; else something was added or multiplied on the way.
        gate: the Mul by whose second input each move is multiplied on its way, if any.
        squeeze: the convolution or linear layer that makes the gate of the mean of what is moved:
            its bias is moved the other way, so that the gate stays.
    """

    node: str
    channels: slice
    direct: bool = True
    gate: str = ""
    squeeze: str = ""


def levers(graph: Graph, name: str, start: int = 0) -> Iterator[Lever]:
    """Yield the nodes whose bias moves a value."""
    node = graph.by_name.get(name)
    if node is None:
        return
    if isinstance(node.op, BatchNorm2d):
        yield Lever(node.name, slice(start, start + node.op.num_features))
    elif isinstance(node.op, Conv2d) and node.op.bias:
        yield Lever(node.name, slice(start, start + node.op.out_channels))
    elif isinstance(node.op, Linear) and node.op.bias:
        yield Lever(node.name, slice(start, start + node.op.out_features))
    elif isinstance(node.op, Add):
        # Code bases write the branch before the shortcut or behind it.
        for branch in reversed(node.inputs):
            readers = sum(branch in reader.inputs for reader in graph.nodes)
            if readers == 1 and (found := [*levers(graph, branch, start)]):
                yield from (replace(lever, direct=False) for lever in found)
                return
    elif isinstance(node.op, Mul):
        for lever in levers(graph, node.inputs[0], start):
            if squeeze := _squeeze(graph, node.inputs[0]):
                yield replace(lever, direct=False, gate=node.name, squeeze=squeeze)
    elif isinstance(node.op, Concat):
        shapes = graph.shapes()
        for part in node.inputs:
            yield from levers(graph, part, start)
            start += shapes[part][1]


def _squeeze(graph: Graph, name: str) -> str | None:
    """Return the layer with a bias that reads the mean of a value, if there is one."""
    means = {
        node.name
        for node in graph.nodes
        if node.inputs == (name,) and isinstance(node.op, GlobalAvgPool2d)
    }
    for node in graph.nodes:
        if means.intersection(node.inputs):
            if isinstance(node.op, Conv2d | Linear) and node.op.bias:
                return node.name
            if isinstance(node.op, Flatten | Reshape):
                means.add(node.name)
    return None


def clear(
    found: Weights,
    lever: Lever,
    x: np.ndarray,
    gate: np.ndarray,
    kinks: tuple[float, ...],
    moves: np.ndarray,
) -> None:
    """Move values and bias to where each channel has its widest gap around all of the kinks.

    Args:
        found: the weights; the lever's bias is changed, and that of its squeeze.
        lever: what moves the values.
        x: the values that the activation sees of the lever's channels, moved in place.
        gate: what moves are multiplied by.
        kinks: of the activation.
        moves: how far each channel is to be moved before the gap is looked for.
    """
    bias = found[f"{lever.node}.bias"]
    gates = np.broadcast_to(gate, (len(x), x.shape[1], *(1,) * (x.ndim - 2)))
    # A shift moves all values alike, but for the gate: how far each is from each kink, as the shift
    # that would take it there, on one axis.
    away = [((x - kink) / gates).swapaxes(0, 1).reshape(x.shape[1], -1) for kink in kinks]
    reaches = REACH * (x / gates).std((0, *range(2, x.ndim)))
    moved = np.zeros(len(bias))
    for channel, (reach, move) in enumerate(zip(reaches, moves, strict=True)):
        ends = -move - reach, -move + reach
        near = [seen[channel] for seen in away]
        near = [seen[(seen > ends[0]) & (seen < ends[1])] for seen in near]
        edges = np.sort(np.concatenate((ends, *near)))
        widest = int(np.argmax(edges[1:] - edges[:-1]))
        wanted = bias[channel] - (edges[widest] + edges[widest + 1]) / 2
        moved[channel] = float(np.float32(wanted)) - float(bias[channel])
        bias[channel] = wanted
    x += moved.reshape(-1, *(1,) * (x.ndim - 2)) * gates
    if lever.squeeze:
        weight = found[f"{lever.squeeze}.weight"].astype(np.float64)
        weight = weight.reshape(weight.shape[:2])
        found[f"{lever.squeeze}.bias"] -= (weight @ moved).astype(np.float32)
