"""Mistakes in how the units of a network follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.arch import Graph
from zoo.proof.mutants.rewiring import Edges, moving, readers


@dataclass(frozen=True)
class Unit:
    """A run of nodes with one input and one output."""

    scope: str
    read: str
    made: str


def units(graph: Graph) -> list[Unit]:
    """Return the units of a network: scopes that read one value, make one, and keep its shape."""
    shapes, found = graph.shapes(), []
    scopes = {
        ".".join(parts[:depth])
        for node in graph.nodes
        for parts in [node.name.split(".")]
        for depth in range(1, len(parts))
    }
    for scope in sorted(scopes):
        inside = [node for node in graph.nodes if node.name.startswith(f"{scope}.")]
        names = {node.name for node in inside}
        reads = {name for node in inside for name in node.inputs} - names
        outside = [node for node in graph.nodes if node.name not in names]
        makes = {name for node in outside for name in node.inputs if name in names}
        makes |= names.intersection(graph.outputs)
        if len(inside) > 3 and len(reads) == len(makes) == 1:
            unit = Unit(scope, reads.pop(), makes.pop())
            if shapes[unit.read] == shapes[unit.made]:
                found.append(unit)
    return found


def _in_a_row(graph: Graph) -> Iterator[tuple[Unit, Unit]]:
    found = units(graph)
    return ((a, b) for a in found for b in found if b.read == a.made)


@moving
def unit_left_out(graph: Graph) -> Iterator[tuple[str, Edges]]:
    """What reads a unit reads what the unit reads."""
    for unit in units(graph):
        yield unit.made, dict.fromkeys(readers(graph, unit.made), unit.read)


@moving
def units_exchanged(graph: Graph) -> Iterator[tuple[str, Edges]]:
    """Two units in a row change places."""
    for first, second in _in_a_row(graph):
        between = readers(graph, first.made, f"{second.scope}.")
        if len(readers(graph, first.made)) == len(between):
            edges = dict.fromkeys(readers(graph, second.made), first.made)
            edges |= dict.fromkeys(readers(graph, first.read, f"{first.scope}."), second.made)
            yield first.scope, edges | dict.fromkeys(between, first.read)


@moving
def unit_twice(graph: Graph) -> Iterator[tuple[str, Edges]]:
    """A unit reads what the unit before it reads: two of them stand side by side."""
    for first, second in _in_a_row(graph):
        between = readers(graph, second.read, f"{second.scope}.")
        yield second.scope, dict.fromkeys(between, first.read)
