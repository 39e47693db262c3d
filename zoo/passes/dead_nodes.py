"""Nodes that do nothing for the outputs taken out, for inference."""

from __future__ import annotations

from dataclasses import replace

from zoo.arch.graph import Graph, Node, shape_read
from zoo.arch.operator import channels_of
from zoo.arch.operators import Dropout
from zoo.passes.rewrite import Weights, ordered


def remove_dead_nodes(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Remove nodes that no output needs, and those that in evaluation mode hand on what they read.

    The latter are dropouts, slices of all channels, concats of one value and permutations that
    leave every channel in place. An output of that kind stays, for its name.
    """
    shapes = graph.shapes()
    same: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(same.get(name, name) for name in node.inputs)
        if node.name not in graph.outputs and _hands_on(
            node, channels_of(shape_read(node, shapes))
        ):
            same[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    alive = set(graph.outputs)
    for node in reversed(nodes):
        if node.name in alive:
            alive.update(node.inputs)
    kept = tuple(node for node in nodes if node.name in alive)
    return replace(graph, nodes=kept), ordered(kept, weights or {})


def _hands_on(node: Node, channels: int) -> bool:
    if isinstance(node.op, Dropout):
        return True
    order = node.op.moved([channels]) if len(node.inputs) == 1 else None
    return order is not None and tuple(order) == tuple(range(channels))
