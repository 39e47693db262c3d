"""Batch norm folded into the convolution before it, for inference.

    Conv2d → BatchNorm2d   →   Conv2d(bias=True)

In evaluation mode a batch norm is a scale and a shift of each channel, which the filters can do
themselves. What is left carries the batch norm's name, because it has its value: whatever the
rewrites, nodes of one name have one value, so that a comparison node by node goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zoo.arch.graph import Graph, Node
from zoo.arch.operators import BatchNorm2d, Concat, Conv2d
from zoo.passes.rewrite import Weights, count_readers, ordered


def fold_batchnorm(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Fold every batch norm whose input convolutions make, and nothing else reads.

    The products are taken in float64 and rounded once. Batch norms after something else stay.
    """
    arrays = dict(weights or {})
    nodes = dict(graph.by_name)
    renamed: dict[str, str] = {}
    counts = count_readers(graph)
    for norm in graph.nodes:
        if not isinstance(norm.op, BatchNorm2d):
            continue
        makers = list(_makers(graph, counts, norm.inputs[0]))
        if None in makers:
            continue
        scale, shift = _affine(norm, norm.op, arrays)
        start = 0
        for maker in makers:
            assert maker is not None
            new = norm.name + maker.name.removeprefix(norm.inputs[0])
            stop = start + _fold(nodes, maker, new, scale, shift, arrays, start)
            renamed[maker.name], start = new, stop
        del nodes[norm.name]
        if len(makers) > 1:
            renamed[norm.inputs[0]] = norm.name
    found = []
    for node in nodes.values():
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        found.append(Node(renamed.get(node.name, node.name), node.op, inputs))
    return replace(graph, nodes=tuple(found)), ordered(found, arrays)


def _makers(graph: Graph, counts: dict[str, int], name: str) -> Iterator[Node | None]:
    """Yield the convolutions whose outputs are the value, in the order of its channels, or None."""
    node = graph.by_name.get(name)
    if node is None or counts[name] != 1:
        yield None
    elif isinstance(node.op, Conv2d):
        yield node
    elif isinstance(node.op, Concat):
        for part in node.inputs:
            yield from _makers(graph, counts, part)
    else:
        yield None


def _affine(
    norm: Node, op: BatchNorm2d, arrays: Weights
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the batch norm as scale and shift of each channel, in float64; None without arrays."""
    held = [arrays.pop(f"{norm.name}.{role}", None) for role in op.parameters()]
    if any(array is None for array in held):
        return None, None
    weight, bias, mean, variance = (np.asarray(array, np.float64) for array in held)
    scale = weight / np.sqrt(variance + op.eps)
    return scale, bias - mean * scale


def _fold(
    nodes: dict[str, Node],
    maker: Node,
    name: str,
    scale: np.ndarray | None,
    shift: np.ndarray | None,
    arrays: Weights,
    start: int,
) -> int:
    """Fold channels from ``start`` into one convolution; return how many it makes."""
    op = maker.op
    assert isinstance(op, Conv2d)
    nodes[maker.name] = replace(maker, op=replace(op, bias=True))
    weight = arrays.pop(f"{maker.name}.weight", None)
    bias = arrays.pop(f"{maker.name}.bias", None)
    if weight is not None and scale is not None and shift is not None:
        own = slice(start, start + op.out_channels)
        before = 0.0 if bias is None else bias.astype(np.float64)
        arrays[f"{name}.weight"] = (weight * scale[own, None, None, None]).astype(np.float32)
        arrays[f"{name}.bias"] = (before * scale[own] + shift[own]).astype(np.float32)
    return op.out_channels
