"""Group convolution as split → convolutions → concat, and back.

    Conv2d(groups=g)  ⇄  Slice × g → Conv2d(groups=1) × g → Concat

The Concat keeps the convolution's name, so that every other node, and a comparison node by node, is
the same in both forms. A group's filters are a run of rows of the weight: the arrays are cut and
joined, never changed. Depthwise convolutions stay as they are: one filter a group gains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zoo.arch.graph import Graph, Node
from zoo.arch.operators import Concat, Conv2d, Slice
from zoo.passes.rewrite import Weights, count_readers, ordered


def split_group_conv(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Write every group convolution that is not depthwise as Slice × g → Conv2d × g → Concat."""
    nodes: list[Node] = []
    arrays = dict(weights or {})
    for node in graph.nodes:
        if not _is_grouped(node):
            nodes.append(node)
            continue
        assert isinstance(node.op, Conv2d)
        groups, parts = node.op.groups, []
        read = node.op.in_channels // groups
        made = node.op.out_channels // groups
        for j in range(groups):
            piece, part = f"{node.name}.slices.{j}", f"{node.name}.convs.{j}"
            nodes.append(Node(piece, Slice(start=j * read, stop=(j + 1) * read), node.inputs))
            op = replace(node.op, in_channels=read, out_channels=made, groups=1)
            nodes.append(Node(part, op, (piece,)))
            parts.append(part)
        nodes.append(Node(node.name, Concat(), tuple(parts)))
        for role in node.op.parameters():
            whole = arrays.pop(f"{node.name}.{role}", None)
            if whole is not None:
                arrays |= {
                    f"{p}.{role}": a for p, a in zip(parts, np.split(whole, groups), strict=True)
                }
    return replace(graph, nodes=tuple(nodes)), ordered(nodes, arrays)


def merge_group_conv(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Undo `split_group_conv`: the same pattern under any names becomes one group convolution."""
    arrays = dict(weights or {})
    merged: dict[str, Node] = {}
    gone: set[str] = set()
    for node, convs, slices in _split_convs(graph):
        first = convs[0].op
        assert isinstance(first, Conv2d)
        groups = len(convs)
        op = replace(
            first,
            in_channels=first.in_channels * groups,
            out_channels=first.out_channels * groups,
            groups=groups,
        )
        merged[node.name] = Node(node.name, op, slices[0].inputs)
        gone |= {part.name for part in (*convs, *slices)}
        for role in op.parameters():
            pieces = [arrays.pop(f"{conv.name}.{role}", None) for conv in convs]
            found = [piece for piece in pieces if piece is not None]
            if len(found) == groups:
                arrays[f"{node.name}.{role}"] = np.concatenate(found)
    nodes = [merged.get(node.name, node) for node in graph.nodes if node.name not in gone]
    return replace(graph, nodes=tuple(nodes)), ordered(nodes, arrays)


def _is_grouped(node: Node) -> bool:
    return isinstance(node.op, Conv2d) and 1 < node.op.groups < node.op.in_channels


def _split_convs(graph: Graph) -> Iterator[tuple[Node, list[Node], list[Node]]]:
    """Yield (concat, convolutions, slices) where the pattern stands and nothing else reads it."""
    readers = count_readers(graph)
    for node in graph.nodes:
        if not isinstance(node.op, Concat):
            continue
        convs = [graph.by_name[n] for n in node.inputs if n in graph.by_name]
        if len(convs) != len(node.inputs) or len(convs) < 2:
            continue
        ops = {conv.op for conv in convs}
        if len(ops) != 1 or not isinstance(convs[0].op, Conv2d) or convs[0].op.groups != 1:
            continue
        slices = [graph.by_name[n] for conv in convs for n in conv.inputs if n in graph.by_name]
        width = convs[0].op.in_channels
        consecutive = len(slices) == len(convs) and all(
            piece.op == Slice(start=j * width, stop=(j + 1) * width)
            and piece.inputs == slices[0].inputs
            for j, piece in enumerate(slices)
        )
        if not consecutive or any(readers[part.name] != 1 for part in (*convs, *slices)):
            continue
        if graph.shapes()[slices[0].inputs[0]][1] == width * len(convs):
            yield node, convs, slices
