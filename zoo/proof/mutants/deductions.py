"""What follows from how a network is built: values never negative, shifts that vanish."""

from __future__ import annotations

from zoo.arch import INPUT, Graph, Node
from zoo.arch.operators import Add, BatchNorm2d, Concat, Conv2d, Pool
from zoo.proof.mutants.mutation import Site


def never_negative(graph: Graph, name: str) -> bool:
    """Return whether no value of a node is below zero, whatever the input and the weights."""
    if name == INPUT:
        return False
    node = graph.by_name[name]
    if node.op.traits.sign != "kept":
        return node.op.traits.sign == "nonnegative"
    return all(never_negative(graph, read) for read in node.inputs)


def nothing_to_clip(site: Site) -> str | None:
    """Return why a ReLU after a node changes nothing, if it does not."""
    if never_negative(site.graph, site.node.name):
        return "what it makes is never negative"
    return None


def shift_vanishes(graph: Graph, name: str) -> bool:
    """Return whether adding a number to a channel of a node changes nothing in training.

    So it is where every way leads to a batch norm, which takes the mean away, through nodes that
    make of a shift another one.
    """
    readers = [node for node in graph.nodes if name in node.inputs]
    if not readers or name in graph.outputs:
        return False
    return all(
        isinstance(reader.op, BatchNorm2d)
        or (_keeps_a_shift(reader) and shift_vanishes(graph, reader.name))
        for reader in readers
    )


def _keeps_a_shift(node: Node) -> bool:
    if isinstance(node.op, Conv2d | Pool):
        return node.op.padding == (0, 0, 0, 0)
    return isinstance(node.op, Add | Concat) or node.op.traits.channels == "moved"
