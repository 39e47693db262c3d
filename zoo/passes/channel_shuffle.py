"""Channel shuffles taken out of a network, for inference.

A shuffle, a split or a concat only decides *which* channels a later convolution reads. So none of
them is carried out: each channel is followed to the tensor that holds it (`zoo.passes.placement`),
a convolution reads just the runs of channels that it needs, and the columns of its filters are
permuted to the order in which they come. In ShuffleNet V2 no shuffle is left, and no copy of the
channels that pass a unit by: a channel is moved when it is read.

Where several later units read what one convolution makes, its filters are put into the order in
which they are read, so that each reads one run. Group convolutions are free to order what they
read and make within their groups only; the shuffle between those of ShuffleNet V1 is moved behind
the depthwise convolution, where a unit of stride 2 has a quarter of the data.

A node whose channels are in another order than before is called ``…_reordered``; all others have
the value that they had.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from zoo.arch.graph import INPUT, Graph, Node
from zoo.arch.operator import Operator, Shape, channels_of
from zoo.arch.operators import Add, ChannelPermute, ChannelShuffle, Conv2d, Flatten, Linear, ReLU
from zoo.passes.placement import Place, Tensors
from zoo.passes.rewrite import Weights, ordered


def eliminate_channel_shuffle(
    graph: Graph, weights: Weights | None = None
) -> tuple[Graph, Weights]:
    """Rewrite the network so that its convolutions read the channels that they need where they are.

    The function is kept, up to the order in which float32 sums the products of a convolution.
    """
    walk = _Walk(graph, dict(weights or {}))
    for node in graph.nodes:
        walk.visit(node)
    outputs = tuple(walk.output(name) for name in graph.outputs)
    nodes = tuple(walk.tensors.nodes)
    return replace(graph, nodes=nodes, outputs=outputs), ordered(nodes, walk.arrays)


class _Walk:
    """The new network as it grows, node by node of the old one."""

    def __init__(self, graph: Graph, arrays: Weights) -> None:
        self.graph = graph
        self.arrays = arrays
        self.shapes = graph.shapes()
        self.read_by = _readers(graph, self.shapes)
        self.followers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.followers.setdefault(name, []).append(node)
        self.tensors = Tensors()
        self.places = {INPUT: self.tensors.input(graph.in_channels)}

    def visit(self, node: Node) -> None:
        """Add what a node of the old network becomes."""
        read = [self.places[name] for name in node.inputs]
        op = node.op
        if (order := op.moved([len(value) for value in read])) is not None:
            self.places[node.name] = Place.join(read).take(np.array(order))
        elif (
            op.traits.elementwise and op.arity == 1 and not op.parameters() and self._whole(read[0])
        ):
            self.places[node.name] = self._each(node, read[0])
        elif (
            isinstance(op, Conv2d | Linear)
            and op.mixes_channels
            and not (isinstance(op, Linear) and len(self.shapes[node.name]) > 2)
        ):
            groups = op.groups if isinstance(op, Conv2d) else 1
            self.places[node.name] = self._mix(node, op, groups, read[0])
        elif (
            op.mixes_channels
            or self._is_broadcast(node, read)
            or (isinstance(op, Flatten) and self.shapes[node.name][1] != len(read[0]))
        ):
            tensors = [
                self.tensors.gather(node.name, value, np.arange(len(value))) for value in read
            ]
            self.places[node.name] = self._add(node, op, tensors)
        else:
            self.places[node.name] = self._per_channel(node, read)

    def _is_broadcast(self, node: Node, read: list[Place]) -> bool:
        """Return whether a node's inputs do not have their channels beside each other."""
        ranks = {len(self.shapes[name]) for name in node.inputs}
        return not read or len(ranks) > 1 or len(set(map(len, read))) > 1

    def output(self, name: str) -> str:
        """Return the node of the new network that has the value of an output."""
        place = self.places[name]
        return self.tensors.names[self._exact(name, place)]

    def _exact(self, reader: str, value: Place) -> int:
        """Return a tensor of a value with its channels as they are."""
        order = value.order()
        there = self.tensors.gather(reader, value, order)
        if np.array_equal(order, np.arange(len(order))):
            return there
        indices = tuple(map(int, np.argsort(order)))
        sign = self.tensors.nonnegative[there]
        op = _as_shuffle(indices) or ChannelPermute(indices=indices)
        made = self.tensors.add(f"{reader}_ordered", op, [there], len(indices), sign)
        return int(made.tensor[0])

    def _whole(self, value: Place) -> bool:
        """Return whether a value has all channels of every tensor that it has channels of."""
        tensors, counts = np.unique(value.tensor, return_counts=True)
        return all(self.tensors.sizes[t] == n for t, n in zip(tensors, counts, strict=True))

    def _each(self, node: Node, value: Place) -> Place:
        """Apply an elementwise operator before the concat that it follows, tensor by tensor."""
        tensors = np.unique(value.tensor)
        found = value.tensor.copy()
        for i, tensor in enumerate(map(int, tensors)):
            if isinstance(node.op, ReLU) and self.tensors.nonnegative[tensor]:
                continue
            name = node.name if len(tensors) == 1 else f"{node.name}_part_{i}"
            if len(tensors) == 1 and not _natural(value.channel):
                name += "_reordered"
            sign = self._sign(node, [tensor])
            made = self.tensors.add(name, node.op, [tensor], self.tensors.sizes[tensor], sign)
            found[value.tensor == tensor] = made.tensor[0]
        return Place(found, value.channel)

    def _mix(self, node: Node, op: Conv2d | Linear, groups: int, value: Place) -> Place:
        """Add a convolution or linear layer: the orders it reads and makes are free by group."""
        blocks = np.arange(len(value)).reshape(groups, -1)
        order = np.concatenate([block[value.take(block).order()] for block in blocks])
        if len(np.unique(value.tensor)) == 1 and value.take(order).runs() > 1:
            # Between group convolutions: a kernel for shuffles is faster than many short runs.
            order = np.arange(len(value))
            tensor = self._exact(node.name, value)
        else:
            tensor = self.tensors.gather(node.name, value, order)
        rows = self._row_order(node, groups)
        weight = self.arrays.get(f"{node.name}.weight")
        if weight is not None:
            columns = (order.reshape(groups, -1) - blocks[:, :1])[
                np.repeat(np.arange(groups), len(rows) // groups)
            ]
            index = columns.reshape(*columns.shape, *(1,) * (weight.ndim - 2))
            self.arrays[f"{node.name}.weight"] = np.take_along_axis(weight[rows], index, axis=1)
        self._permute(node, "bias", rows)
        return self._add(node, op, [tensor], rows)

    def _per_channel(self, node: Node, read: list[Place]) -> Place:
        """Add a node whose channels do not mix: it keeps whatever order it reads."""
        first, *others = read
        order = first.order()
        tensors = [self.tensors.gather(node.name, first, order)]
        for other in others:
            there = other.take(order)
            exact = self._exact(f"{node.name}_second", there)
            tensors.append(exact)
        for role in node.op.parameters():
            self._permute(node, role, order)
        return self._add(node, node.op, tensors, order)

    def _add(
        self, node: Node, op: Operator, inputs: list[int], order: np.ndarray | None = None
    ) -> Place:
        """Add a node and return where the channels of its value are."""
        size = channels_of(self.shapes[node.name])
        name, channels = node.name, np.arange(size)
        if order is not None and not _natural(order):
            name, channels = f"{name}_reordered", np.argsort(order)
            for role in node.op.parameters():
                if (array := self.arrays.pop(f"{node.name}.{role}", None)) is not None:
                    self.arrays[f"{name}.{role}"] = array
        made = self.tensors.add(name, op, inputs, size, self._sign(node, inputs))
        return made.take(channels)

    def _sign(self, node: Node, inputs: list[int]) -> bool:
        sign = node.op.traits.sign
        kept = sign == "kept" and all(self.tensors.nonnegative[i] for i in inputs)
        return kept or sign == "nonnegative"

    def _permute(self, node: Node, role: str, order: np.ndarray) -> None:
        array = self.arrays.get(f"{node.name}.{role}")
        if array is not None and len(array) == len(order):  # not one number for all channels
            self.arrays[f"{node.name}.{role}"] = array[order]

    def _row_order(self, node: Node, groups: int) -> np.ndarray:
        """Return the order in which a convolution makes its channels; groups stay where they are.

        An operand of a sum has the order of the operand that is there already. Otherwise the
        channels that are read together lie together; where they do, all stay as they are.
        """
        blocks = np.arange(self.shapes[node.name][1]).reshape(groups, -1)
        if (other := self._summed_with(node)) is not None:
            order = other.order()
            stays = np.array_equal(np.sort(order.reshape(blocks.shape), axis=1), blocks)
            return order if stays else blocks.ravel()
        labels = self.read_by[node.name]
        rows = []
        for block in blocks:
            found = [labels[i] for i in block]
            changes = 1 + sum(a != b for a, b in itertools.pairwise(found))
            # Between groups there is a shuffle whatever the order.
            apart = groups == 1 and changes > len(set(found))
            rows.append(block[sorted(range(len(block)), key=found.__getitem__)] if apart else block)
        return np.concatenate(rows)

    def _summed_with(self, node: Node) -> Place | None:
        """Return the operand, if there already, of a sum that the node's channels come to."""
        reached = [node.name]
        for name in reached:
            for reader in self.followers.get(name, ()):
                if isinstance(reader.op, Add):
                    there = [self.places[i] for i in reader.inputs if i in self.places]
                    if there:
                        return there[0]
                elif reader.op.traits.channels != "moved" and not reader.op.mixes_channels:
                    reached.append(reader.name)
        return None


def _as_shuffle(indices: tuple[int, ...]) -> ChannelShuffle | None:
    """Return the shuffle that a permutation is, if it is one."""
    groups = indices.index(1) if 1 in indices else 0
    if not groups or len(indices) % groups:
        return None
    op = ChannelShuffle(groups=groups, order="gn")
    return op if op.indices(len(indices)) == indices else None


def _natural(order: np.ndarray) -> bool:
    return bool(np.array_equal(order, np.arange(len(order))))


def _readers(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, list[tuple[int, ...]]]:
    """Return for each channel of each value the convolutions (by group) that it comes to.

    Numbers in the order of the network; an output counts for nothing.
    """
    found: dict[str, list[set[int]]] = {
        name: [set() for _ in range(channels_of(shape))] for name, shape in shapes.items()
    }
    label = len(graph.nodes) * max(map(channels_of, shapes.values()))
    for node in reversed(graph.nodes):
        op, out = node.op, found[node.name]
        read = [channel for name in node.inputs for channel in found[name]]
        order = op.moved([channels_of(shapes[name]) for name in node.inputs])
        if order is not None:
            for i, channel in zip(order, out, strict=True):
                read[i] |= channel
        elif op.mixes_channels:
            groups = op.groups if isinstance(op, Conv2d) else 1
            label -= groups
            for i, channel in enumerate(read):
                channel.add(label + i * groups // len(read))
        else:
            for i, channel in enumerate(read):
                channel.update(out[i % len(out)])
    return {name: [tuple(sorted(c)) for c in channels] for name, channels in found.items()}
