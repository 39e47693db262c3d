"""What only networks of tokens have for a proof: values before a layer norm, and biases of keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zoo.arch import INPUT, Graph, Node
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    Linear,
    MatMul,
    Mul,
    MulScalar,
    Narrow,
    Permute,
    Reshape,
    ScaledDotProductAttention,
    Softmax,
    Weight,
)
from zoo.passes import Weights

LOWERED = 2.0**-3
"""What layers are multiplied by that make what a layer norm reads: of values of the size of 1 it
would hardly show which eps is added to their variance. The norm makes up for it."""


def lower(graph: Graph, found: Weights) -> None:
    """Make what layer and group norms read so small that their eps shows."""
    norms = [n for n in graph.nodes if isinstance(n.op, LayerNorm | GroupNorm)]
    makers = {name for norm in norms for name in _makers(graph, norm.inputs[0])}
    for name in makers:
        for role in graph.by_name[name].op.parameters():
            if role in ("weight", "bias"):
                found[f"{name}.{role}"] *= np.float32(LOWERED)


def _makers(graph: Graph, value: str) -> set[str]:
    """Return the nodes whose weights scale a value, through sums and whatever only moves it."""
    seen, left, found = {INPUT}, [value], set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        node = graph.by_name[name]
        if isinstance(node.op, Conv2d | Linear | BatchNorm2d | LayerNorm | GroupNorm) or (
            isinstance(node.op, Weight) and node.op.trainable
        ):
            found.add(name)
        elif isinstance(node.op, Mul | MulScalar | Dropout | GlobalAvgPool2d):
            left.append(node.inputs[0])
        elif isinstance(node.op, Add) or not node.op.traits.rounds:
            left += node.inputs
    return found


def of_keys(graph: Graph, node: Node) -> set[int]:
    """Return which places of a linear layer's bias only shift keys.

    That adds the same to all scores of a query, which no softmax shows: their gradient is zero.
    """
    if not isinstance(node.op, Linear):
        return set()
    size, found = node.op.out_features, set[int]()
    readers = [reader for reader in graph.nodes if node.name in reader.inputs]
    for reader in readers:
        if isinstance(reader.op, Narrow) and reader.op.dim == len(graph.shapes()[node.name]) - 1:
            places = set(range(reader.op.start, reader.op.stop, reader.op.step))
            others = [r for r in readers if r is not reader and not isinstance(r.op, Narrow)]
            if not others and all(_is_key(graph, *use) for use in _uses(graph, reader)):
                found |= places
    if all(_is_key(graph, *use) for use in _uses(graph, node)):
        return set(range(size))
    return found


def _uses(graph: Graph, node: Node) -> Iterator[tuple[Node, int]]:
    """Yield (reader, which input) of a value and of what only moves it."""
    for reader in graph.nodes:
        for i, name in enumerate(reader.inputs):
            if name == node.name and isinstance(reader.op, Permute | Reshape):
                yield from _uses(graph, reader)
            elif name == node.name:
                yield reader, i


def _is_key(graph: Graph, reader: Node, number: int) -> bool:
    """Return whether the input of a node is the keys of an attention."""
    if isinstance(reader.op, ScaledDotProductAttention):
        return number == 1
    if not isinstance(reader.op, MatMul) or number != 1:
        return False
    last = len(graph.shapes()[reader.name]) - 1
    uses = list(_scores(graph, reader))
    return bool(uses) and all(u.op == Softmax(dim=last) for u in uses)


def _scores(graph: Graph, node: Node) -> Iterator[Node]:
    last = graph.shapes()[node.name][-1:]
    for reader in graph.nodes:
        if node.name in reader.inputs:
            moved = isinstance(reader.op, Reshape) and reader.op.shape[-1:] == last
            if moved or isinstance(reader.op, Add | MulScalar):
                yield from _scores(graph, reader)
            else:
                yield reader
