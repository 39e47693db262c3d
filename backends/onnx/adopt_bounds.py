"""What an ONNX file must be before anything is inferred of it: it may come from a stranger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from onnx import AttributeProto, ModelProto, NodeProto

from zoo.errors import AdoptionError

MAX_NODES = 10_000
"""Three times as many as the largest of timm's networks have."""
VISITS = 60_000
"""Of nodes, while what computes shapes is folded round by round: a file of many nodes has fewer
rounds, so that no file takes longer than any network's."""


def require_plain(path: Path, model: ModelProto) -> None:
    """Raise `AdoptionError` unless a file is a list of nodes with names, and no program."""
    graph = model.graph
    if model.functions:
        raise AdoptionError(
            f"{path}: functions (={len(model.functions)}) must be 0; onnx.inliner writes them out"
        )
    if len(graph.node) > MAX_NODES:
        raise AdoptionError(f"{path}: nodes (={len(graph.node)}) must be at most {MAX_NODES}")
    if graph.sparse_initializer:
        raise AdoptionError(f"{path}: sparse arrays (={len(graph.sparse_initializer)}) must be 0")
    for name in _names(model):
        if not isinstance(name, str):  # protobuf hands out bytes that are no UTF-8
            raise AdoptionError(f"{path}: name (={name!r:.80}) must be UTF-8")
    for node in graph.node:
        if not node.output or not node.output[0]:
            raise AdoptionError(f"{path}: {node.name or node.op_type}: must have an output")
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            raise AdoptionError(f"{path}: {_called(node)}: {node.op_type} is control flow")
    made = [name for node in graph.node for name in node.output if name]
    twice = [name for name, count in Counter(made).items() if count > 1]
    if twice:
        raise AdoptionError(f"{path}: {twice[0]}: must be made by one node")


def rounds(nodes: int, most: int) -> int:
    """Return how often what is left of so many nodes may be folded."""
    return min(most, max(5, VISITS // max(nodes, 1)))


def _called(node: NodeProto) -> str:
    return node.name or node.output[0]


def _names(model: ModelProto) -> Iterator[object]:
    graph = model.graph
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in graph.initializer:
        yield tensor.name
    for value in (*graph.input, *graph.output):
        yield value.name
