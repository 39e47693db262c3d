"""Biases of convolutions that only another convolution reads, moved into its bias.

    y = W (x + b)   =   W x + W b

After a fold this is the bias of every depthwise convolution here: no activation follows it, and the
1×1 convolution that reads it has no padding, whose zeros would have missed the bias. Run-times that
add a bias in a step of its own (MindSpore, PyTorch's channels-last kernels) save that step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zoo.arch.graph import Graph, Node
from zoo.arch.operators import Conv2d
from zoo.passes.rewrite import Weights, count_readers, ordered


def absorb_bias(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Move each bias that comes to one unpadded convolution and nowhere else.

    What is left is called ``…_unbiased``, since its value is another one; so are shuffles between.
    A bias whose parts are not all given is left out.
    """
    arrays = dict(weights or {})
    nodes = dict(graph.by_name)
    renamed: dict[str, str] = {}
    for maker, between, reader in _pairs(graph):
        assert isinstance(maker.op, Conv2d)
        bias = arrays.pop(f"{maker.name}.bias", None)
        op = nodes[reader.name].op
        assert isinstance(op, Conv2d)
        weight = arrays.get(f"{reader.name}.weight")
        own = np.zeros(op.out_channels, np.float32)
        before = arrays.pop(f"{reader.name}.bias", None) if op.bias else own
        if bias is not None and weight is not None and before is not None:
            for node in between:
                bias = bias[np.array(node.op.moved([len(bias)]))]
            arrays[f"{reader.name}.bias"] = (before + _applied(op, weight, bias)).astype(np.float32)
        nodes[reader.name] = replace(nodes[reader.name], op=replace(op, bias=True))
        nodes[maker.name] = replace(nodes[maker.name], op=replace(maker.op, bias=False))
        for node in (maker, *between):
            renamed[node.name] = f"{node.name}_unbiased"
        if (weight := arrays.pop(f"{maker.name}.weight", None)) is not None:
            arrays[f"{renamed[maker.name]}.weight"] = weight
    found = [
        Node(
            renamed.get(node.name, node.name),
            node.op,
            tuple(renamed.get(name, name) for name in node.inputs),
        )
        for node in nodes.values()
    ]
    return replace(graph, nodes=tuple(found)), ordered(found, arrays)


def _pairs(graph: Graph) -> Iterator[tuple[Node, list[Node], Node]]:
    """Yield (convolution with a bias, shuffles that follow it, the convolution that reads them)."""
    counts = count_readers(graph)
    follower = {name: node for node in graph.nodes for name in node.inputs}
    for maker in graph.nodes:
        if not isinstance(maker.op, Conv2d) or not maker.op.bias:
            continue
        between: list[Node] = []
        last = maker
        while counts[last.name] == 1 and last.name in follower:
            last = follower[last.name]
            if isinstance(last.op, Conv2d) and last.op.padding == (0, 0, 0, 0):
                yield maker, between, last
            order = last.op.moved([maker.op.out_channels])
            if len(last.inputs) > 1 or order is None or len(order) != maker.op.out_channels:
                break
            between.append(last)


def _applied(op: Conv2d, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what a convolution makes of a map whose channels are constant."""
    sums = weight.astype(np.float64).sum((2, 3)).reshape(op.groups, -1, weight.shape[1])
    found: np.ndarray = np.einsum(
        "goi,gi->go", sums, values.astype(np.float64).reshape(op.groups, -1)
    )
    return found.ravel()
