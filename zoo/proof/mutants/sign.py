"""Whether a value can be negative, from the traits of the operators that make it."""

from __future__ import annotations

from zoo.arch import INPUT, Graph


def never_negative(graph: Graph, name: str) -> bool:
    """Return whether no value of a node is below zero, whatever the input and the weights."""
    if name == INPUT:
        return False
    node = graph.by_name[name]
    if node.op.traits.sign != "kept":
        return node.op.traits.sign == "nonnegative"
    return all(never_negative(graph, read) for read in node.inputs)
