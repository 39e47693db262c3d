"""Weights at which a comparison shows the most.

Initial weights show little: with shifts of 0, scales of 1 and running statistics of 0 and 1,
swapped or forgotten ones go unnoticed. Arbitrary ones show little about gradients: activations grow
from unit to unit until the softmax is saturated. And anywhere the input of a ReLU may lie so close
to zero that float32 and float64 disagree about its sign; the gradient is not continuous there, and
a difference says nothing about the code. So it is with a hard swish or sigmoid at -3 and 3.

So every array is drawn (`weights.randomise`), running statistics fit the images, and the bias of
each batch norm (or convolution) before such an activation is shifted, by a few hundredths of a
deviation at most, to where the kinks fall into gaps between the values it sees. Float32 is then as
exact as it can be, and bounds can be tight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

import weights as arrays
from backends.numpy.operators import apply
from zoo.arch import INPUT, Graph, Node, Operator
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    Concat,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Mul,
    ReLU,
)
from zoo.arch.windows import Conv2d
from zoo.passes import Weights

SPREAD = 0.2
"""How far running statistics are off what was seen, relative to its size."""
DAMPING = 8
"""Mean squares of all channels that are added to that of each: the branches stay smaller than what
they are added to, as in trained networks, and rounding does not grow from unit to unit."""
REACH = 0.05
"""How far a batch norm may be shifted, in deviations of what it makes."""
KINKS: dict[type[Operator], tuple[float, ...]] = {
    ReLU: (0,),
    HardSwish: (-3, 3),
    HardSigmoid: (-3, 3),
}
"""Where the gradient of an activation has a step."""
VALUES = 8
"""How many values of a channel a batch norm should see in training. Of two it always makes plus and
minus one: what comes before hardly matters, and its gradient is the rounding of a zero. A squeezed
map has one value an image."""


def well_conditioned_batch(graph: Graph) -> int:
    """Return how many images it takes for every batch norm to see enough values, at least two."""
    shapes = graph.shapes()
    norms = [node.name for node in graph.nodes if isinstance(node.op, BatchNorm2d)]
    fewest = min((math.prod(shapes[name][2:]) for name in norms), default=VALUES)
    return max(2, math.ceil(VALUES / fewest))


def well_conditioned_weights(
    graph: Graph, images: np.ndarray, seed: int, training: bool
) -> Weights:
    """Return such weights for a network in evaluation or in training mode.

    The walk is the reference's own (float64), node by node, so that each choice sees those before
    it.
    """
    found = arrays.randomise(graph, seed)
    rng = np.random.default_rng(seed)
    values = {INPUT: images.astype(np.float64)}
    gates: dict[str, np.ndarray] = {}
    last = graph.last_reader()
    for i, node in enumerate(graph.nodes):
        inputs = [values[name] for name in node.inputs]
        if isinstance(node.op, BatchNorm2d):
            _set_statistics(found, node, inputs[0], rng)
        if isinstance(node.op, Mul):
            gates[node.name] = inputs[1]
        if kinks := KINKS.get(type(node.op)):
            for lever in _levers(graph, node.inputs[0]):
                gate = gates[lever.gate] if lever.gate else np.ones(1)
                _shift(found, lever, inputs[0][:, lever.channels], gate, kinks)
        held = {
            role: found[f"{node.name}.{role}"].astype(np.float64) for role in node.op.parameters()
        }
        values[node.name] = apply(node.op, inputs, held, training)
        values = {name: kept for name, kept in values.items() if last.get(name, -1) > i}
    return found


def _set_statistics(found: Weights, norm: Node, x: np.ndarray, rng: np.random.Generator) -> None:
    # A channel that is next to dead, or hardly varies about its mean, is not blown up to the size
    # of the others, as full normalisation would: that multiplies the rounding of everything before
    # it.
    square = np.square(x).mean((0, 2, 3))
    deviation = np.sqrt(square + DAMPING * square.mean())
    mean = x.mean((0, 2, 3)) + deviation * rng.uniform(-SPREAD, SPREAD, deviation.shape)
    variance = deviation**2 * rng.uniform(1 - SPREAD, 1 + SPREAD, deviation.shape)
    found[f"{norm.name}.running_mean"] = mean.astype(np.float32)
    found[f"{norm.name}.running_var"] = variance.astype(np.float32)


@dataclass(frozen=True)
class _Lever:
    """What moves a value: the bias of a node.

    Attributes:
        node: a batch norm or a convolution with a bias.
        channels: which channels of the value it moves, all of its own.
        gate: the Mul by whose second input each move is multiplied on its way, if any.
        squeeze: the convolution that makes the gate of the mean of what is moved: its bias is moved
            the other way, so that the gate stays.
    """

    node: str
    channels: slice
    gate: str = ""
    squeeze: str = ""


def _levers(graph: Graph, name: str, start: int = 0) -> Iterator[_Lever]:
    """Yield the nodes whose bias moves a value."""
    node = graph.by_name.get(name)
    if node is None:
        return
    if isinstance(node.op, BatchNorm2d):
        yield _Lever(node.name, slice(start, start + node.op.num_features))
    elif isinstance(node.op, Conv2d) and node.op.bias:
        yield _Lever(node.name, slice(start, start + node.op.out_channels))
    elif isinstance(node.op, Add):
        yield from _levers(graph, node.inputs[1], start)
    elif isinstance(node.op, Mul):
        for lever in _levers(graph, node.inputs[0], start):
            if squeeze := _squeeze(graph, node.inputs[0]):
                yield replace(lever, gate=node.name, squeeze=squeeze)
    elif isinstance(node.op, Concat):
        shapes = graph.shapes()
        for part in node.inputs:
            yield from _levers(graph, part, start)
            start += shapes[part][1]


def _squeeze(graph: Graph, name: str) -> str | None:
    """Return the convolution with a bias that reads the mean of a value, if there is one."""
    pools = {
        node.name
        for node in graph.nodes
        if node.inputs == (name,) and isinstance(node.op, GlobalAvgPool2d)
    }
    for node in graph.nodes:
        if pools.intersection(node.inputs) and isinstance(node.op, Conv2d) and node.op.bias:
            return node.name
    return None


def _shift(
    found: Weights, lever: _Lever, x: np.ndarray, gate: np.ndarray, kinks: tuple[float, ...]
) -> None:
    """Move values and bias to where each channel has its widest gap around all of the kinks."""
    bias = found[f"{lever.node}.bias"]
    moves = np.zeros(len(bias))
    gates = np.broadcast_to(gate, (len(x), x.shape[1], 1, 1))
    for channel in range(x.shape[1]):
        # A shift moves all values alike, but for the gate: how far each is from each kink, as the
        # shift that would take it there, on one axis.
        away = [(x[:, channel] - kink) / gates[:, channel] for kink in kinks]
        seen = np.sort(away, axis=None)
        reach = REACH * (x[:, channel] / gates[:, channel]).std()
        near = seen[(seen > -reach) & (seen < reach)]
        edges = np.concatenate(([-reach], near, [reach]))
        widest = int(np.argmax(np.diff(edges)))
        wanted = bias[channel] - (edges[widest] + edges[widest + 1]) / 2
        moves[channel] = float(np.float32(wanted)) - float(bias[channel])
        x[:, channel] += moves[channel] * gates[:, channel]
        bias[channel] = wanted
    if lever.squeeze:
        weight = found[f"{lever.squeeze}.weight"][:, :, 0, 0].astype(np.float64)
        found[f"{lever.squeeze}.bias"] -= (weight @ moves).astype(np.float32)
