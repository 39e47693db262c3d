"""How the nodes of a network are connected otherwise: from a graph to mistaken graphs.

No node is taken away, since names and arrays must stay: what is left out is computed, and read by
nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Concatenate, ParamSpec

from zoo.arch import INPUT, Graph, Node
from zoo.errors import GraphError
from zoo.passes import Weights
from zoo.proof.mutants.mutation import Mutant

Edges = Mapping[tuple[str, int], str]
"""(reader, number of its input) → what it reads instead."""
P = ParamSpec("P")


@dataclass(frozen=True)
class Rewiring:
    """A network with a mistake in it.

    Attributes:
        node: where.
        suspects: the nodes by which a proof may name it.
        graph: the mistaken network.
        arrays: from the weights to those that it is given.
    """

    node: str
    suspects: frozenset[str]
    graph: Graph
    arrays: Callable[[Weights], Weights] = dict


Find = Callable[[Graph], Iterator[Rewiring]]
"""From a network to the mistaken ones."""


@dataclass(frozen=True)
class Wiring:
    """A kind of mistake in the wiring, and where a network has room for it.

    Attributes:
        name: what reports call it.
        find: see `Find`.
    """

    name: str
    find: Find

    def mutants(self, graph: Graph) -> Iterator[Mutant]:
        """Yield the mutants of a network."""
        for found in self.find(graph):
            yield Mutant(
                mutation=self.name,
                kind="wiring",
                operator="graph",
                node=found.node,
                level="forward",
                graph=found.graph,
                arrays=found.arrays,
                suspects=found.suspects,
            )


def moving(
    edges: Callable[Concatenate[Graph, P], Iterator[tuple[str, Edges]]],
) -> Callable[P, Find]:
    """Make a generator of (node, edges that are moved there) one of networks.

    Those are left out whose shapes do not admit it, or that would go round in a circle.
    """

    def given(*args: P.args, **options: P.kwargs) -> Find:
        def find(graph: Graph) -> Iterator[Rewiring]:
            for node, moved in edges(graph, *args, **options):
                found = _moved(graph, moved) if moved else None
                if found is not None and found != graph:
                    yield Rewiring(node, frozenset({node, *(reader for reader, _ in moved)}), found)

        return find

    return given


def readers(graph: Graph, name: str, scope: str = "") -> list[tuple[str, int]]:
    """Return (reader, number of the input) of all in a scope that reads a value."""
    return [
        (node.name, i)
        for node in graph.nodes
        if node.name.startswith(scope)
        for i, read in enumerate(node.inputs)
        if read == name
    ]


def _moved(graph: Graph, edges: Edges) -> Graph | None:
    nodes = [
        replace(
            node,
            inputs=tuple(edges.get((node.name, i), name) for i, name in enumerate(node.inputs)),
        )
        for node in graph.nodes
    ]
    try:
        found = replace(graph, nodes=tuple(_in_order(nodes)))
    except (GraphError, RecursionError):
        return None
    return found if graph.shapes() == found.shapes() else None


def _in_order(nodes: list[Node]) -> Iterator[Node]:
    """Yield nodes after those that they read, else as they stand.

    Raises:
        GraphError: a node reads what is made of it.
    """
    done, open_ = {INPUT}, nodes
    while open_:
        before = len(done)
        for node in open_:  # those that wait for a later one are tried again
            if done.issuperset(node.inputs):
                done.add(node.name)
                yield node
        if len(done) == before:
            raise GraphError("the nodes go round in a circle")
        open_ = [node for node in open_ if node.name not in done]
