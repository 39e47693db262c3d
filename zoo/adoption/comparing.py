"""How far a network of a family is from an adopted one: in which nodes, and in what."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.adoption.pairing import pairs
from zoo.adoption.sized import in_numbers
from zoo.arch import INPUT, Graph, Node, Spec
from zoo.arch.graph import shape_read
from zoo.arch.operators import Add
from zoo.errors import ConventionError
from zoo.passes.conventions.convert import are_matched, match_channels
from zoo.passes.conventions.trace import Channels, Trace, trace


@dataclass(frozen=True, eq=False)
class Comparison:
    """A network of a family beside an adopted one.

    Attributes:
        spec: of ours.
        graph: ours.
        names: our name of a node that computes → theirs.
        theirs: their graph, traced.
        unlike: our nodes whose operators are not theirs, in order.
        moved: our nodes, and outputs, that read other channels than theirs.
        regrouped: those of them that do not even read as many channels of each node.
    """

    spec: Spec
    graph: Graph
    names: dict[str, str]
    theirs: Trace
    unlike: list[str]
    moved: list[str]
    regrouped: list[str]

    @property
    def distance(self) -> tuple[int, int]:
        """How much differs."""
        return len(self.unlike), len(self.moved)

    @property
    def is_same(self) -> bool:
        """Whether it is the same network, channel by channel."""
        return not self.unlike and not self.moved

    @cached_property
    def is_permuted(self) -> bool:
        """Whether it is, up to an order of channels."""
        if self.unlike or self.regrouped:
            return False
        return are_matched(self._renamed, trace(self.graph))

    @property
    def _renamed(self) -> Trace:
        ours = {theirs: name for name, theirs in self.names.items()}
        nodes = tuple(dataclasses.replace(n, name=ours[n.name]) for n in self.theirs.nodes)
        return dataclasses.replace(self.theirs, nodes=nodes)

    def difference(self, their_graph: Graph) -> str:
        """Return the first thing that differs: node, field and values."""
        for name in self.unlike:
            node, held = self.graph.by_name[name], their_graph.by_name[self.names[name]]
            return f"{name} ({held.name}): {_unlike(node, held)}"
        try:
            match_channels(renamed(their_graph, self.names), self.graph)
        except ConventionError as error:
            name, _, rest = str(error).partition(": ")
            return f"{name} ({self.names[name]}): {rest}" if name in self.names else str(error)
        raise AssertionError("nothing differs")


def compare(spec: Spec, their_graph: Graph, theirs: Trace) -> Comparison | None:
    """Return how a network differs from an adopted one; None if their nodes are not as many alike.

    Raises:
        GraphError: the values of the spec do not fit together.
    """
    graph = spec.expand()
    ours = trace(graph)
    names = pairs(ours, theirs)
    if names is None:
        return None
    names = {node.name: names[node.name] for node in ours.nodes}
    place = {name: i for i, name in enumerate(theirs.producers)}
    where = np.array([0, *(place[names[node.name]] for node in ours.nodes)])
    moved, regrouped = [], []
    rows: list[tuple[str, tuple[Channels, ...], tuple[Channels, ...], bool]] = [
        (node.name, read, theirs.inputs[where[i] - 1], isinstance(node.op, Add))
        for i, (node, read) in enumerate(zip(ours.nodes, ours.inputs, strict=True), start=1)
    ]
    outputs = zip(ours.outputs, theirs.outputs, strict=True)
    rows += [(f"outputs[{i}]", (one,), (other,), False) for i, (one, other) in enumerate(outputs)]
    by_name, shapes = their_graph.by_name, graph.shapes()
    unlike = [
        node.name
        for node in ours.nodes
        if by_name[names[node.name]].op
        not in (node.op, in_numbers(node.op, shape_read(node, shapes)))
    ]
    for name, read, other, commutes in rows:
        held = _aligned(read, other, where) if commutes else other
        if any(not _same(one, two, where) for one, two in zip(read, held, strict=True)):
            moved.append(name)
            counts = sorted(_counts(x, where) for x in read)
            if counts != sorted(_counts(x, None) for x in held):
                regrouped.append(name)
    return Comparison(spec, graph, names, theirs, unlike, moved, regrouped)


def renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """Return their graph with the nodes that compute under our names."""
    known = {theirs: ours for ours, theirs in names.items()}
    taken = set(names)
    for node in graph.nodes:
        if node.name not in known:
            name = node.name
            while name in taken:
                name += "_"
            taken.add(name)
            known[node.name] = name
    known[INPUT] = INPUT
    nodes = tuple(
        Node(known[n.name], n.op, tuple(known[name] for name in n.inputs)) for n in graph.nodes
    )
    return dataclasses.replace(
        graph, nodes=nodes, outputs=tuple(known[name] for name in graph.outputs), origin=None
    )


def _aligned(
    read: tuple[Channels, ...], held: tuple[Channels, ...], where: np.ndarray
) -> tuple[Channels, ...]:
    """Return what a sum reads in the order in which ours reads it."""
    return held if _same(read[0], held[0], where) else held[::-1]


def _same(one: Channels, other: Channels, where: np.ndarray) -> bool:
    return (
        np.array_equal(where[one.producer], other.producer)
        and np.array_equal(one.channel, other.channel)
        and np.array_equal(one.relu, other.relu)
    )


def _counts(x: Channels, where: np.ndarray | None) -> list[tuple[int, int]]:
    producer = x.producer if where is None else where[x.producer]
    codes, counts = np.unique(2 * producer + x.relu, return_counts=True)
    return list(zip(codes.tolist(), counts.tolist(), strict=True))


def _unlike(ours: Node, theirs: Node) -> str:
    if type(ours.op) is not type(theirs.op):
        return f"operator (={type(theirs.op).__name__}) must be {type(ours.op).__name__}"
    for field in dataclasses.fields(ours.op):
        one, other = getattr(theirs.op, field.name), getattr(ours.op, field.name)
        if field.compare and one != other:
            return f"{field.name} (={one!r:.80}) must be {other!r:.80}"
    raise AssertionError("they are alike")
