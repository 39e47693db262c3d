"""Where every channel of every value comes from, with all movement of data traced away.

Shuffles, permutations, slices and concats only decide *which* channels a node reads, and a ReLU
acts on each channel by itself. Traced to the node that computed it, a channel is (producer, channel
of that producer, whether a ReLU stands between); what remains are the nodes that compute. Two
graphs that move the same channels about in different ways have the same trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.arch.graph import INPUT, Graph, Node
from zoo.arch.operator import channels_of
from zoo.arch.operators import Flatten, ReLU


@dataclass(frozen=True, eq=False, slots=True)
class Channels:
    """A value, told channel by channel; each array has one entry a channel.

    Attributes:
        producer: index into `Trace.producers`.
        channel: which of the producer's channels.
        relu: whether a ReLU that changes something stands between. One that follows another, or
            a pool of what is not negative, changes nothing and is left out: so the ReLU before
            and after a concat is the same.
        nonnegative: whether the channel is known not to be negative.
    """

    producer: np.ndarray
    channel: np.ndarray
    relu: np.ndarray
    nonnegative: np.ndarray

    def __len__(self) -> int:
        return len(self.channel)

    def take(self, indices: np.ndarray | slice) -> Channels:
        """Return the channels at ``indices``."""
        return Channels(
            self.producer[indices],
            self.channel[indices],
            self.relu[indices],
            self.nonnegative[indices],
        )

    @staticmethod
    def join(parts: Sequence[Channels]) -> Channels:
        """Return the concatenation of values."""
        return Channels(
            np.concatenate([part.producer for part in parts]),
            np.concatenate([part.channel for part in parts]),
            np.concatenate([part.relu for part in parts]),
            np.concatenate([part.nonnegative for part in parts]),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """The nodes of a graph that compute, and the channels that they read.

    Attributes:
        nodes: those nodes, in the graph's order.
        inputs: for each of them, what it reads. The entries of a per-channel node stand beside its
            output channels (a Flatten reads each channel once a pixel).
        sizes: channels of each producer.
        outputs: the graph's outputs.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[tuple[Channels, ...], ...]
    sizes: tuple[int, ...]
    outputs: tuple[Channels, ...]

    @property
    def producers(self) -> tuple[str, ...]:
        """The names that `Channels.producer` indexes: the network's input, then the nodes."""
        return (INPUT, *(node.name for node in self.nodes))


def trace(graph: Graph) -> Trace:
    """Trace every channel of a graph, at its nominal image size."""
    shapes = graph.shapes()
    values = {INPUT: _own(0, graph.in_channels, False)}
    nodes: list[Node] = []
    inputs: list[tuple[Channels, ...]] = []
    sizes = [graph.in_channels]
    for node in graph.nodes:
        read = [values[name] for name in node.inputs]
        if (order := node.op.moved([len(x) for x in read])) is not None:
            values[node.name] = Channels.join(read).take(np.array(order))
            continue
        if isinstance(node.op, ReLU):
            values[node.name] = _rectified(read[0])
            continue
        size = channels_of(shapes[node.name])
        if isinstance(node.op, Flatten):
            if size == len(read[0]):  # of one pixel a channel: nothing but another rank
                values[node.name] = read[0]
                continue
            read = [read[0].take(np.arange(size) // (size // len(read[0])))]
        sign = node.op.traits.sign
        alike = all(len(x) == size for x in read)
        nonnegative = sign == "nonnegative" or (
            sign == "kept" and alike and np.logical_and.reduce([x.nonnegative for x in read])
        )
        nodes.append(node)
        inputs.append(tuple(read))
        sizes.append(size)
        values[node.name] = _own(len(nodes), size, nonnegative)
    outputs = tuple(values[name] for name in graph.outputs)
    return Trace(tuple(nodes), tuple(inputs), tuple(sizes), outputs)


def _own(producer: int, size: int, nonnegative: bool | np.ndarray) -> Channels:
    """Return the channels of a node that computes."""
    return Channels(
        np.full(size, producer),
        np.arange(size),
        np.zeros(size, bool),
        np.broadcast_to(np.asarray(nonnegative), size),
    )


def _rectified(x: Channels) -> Channels:
    return replace(x, relu=x.relu | ~x.nonnegative, nonnegative=np.ones(len(x), bool))
