"""Mistakes in how the nodes of a network are connected: from a graph to mistaken graphs.

No node is taken away, since names and arrays must stay: what is left out is computed, and read by
nobody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from zoo.arch import INPUT, Graph, Node, Operator, Shape
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    Slice,
)
from zoo.errors import GraphError
from zoo.passes import Weights
from zoo.proof.mutants.mutation import Mutant

ACTIVATIONS = (ReLU, ReLU6, HardSwish, HardSigmoid, Sigmoid)
SHUFFLES = (ChannelShuffle, ChannelPermute)


@dataclass(frozen=True)
class Rewiring:
    """A network with a mistake in it.

    Attributes:
        node: where.
        suspects: the nodes by which a proof may name it.
        graph: the mistaken network.
        arrays: from the weights to those that it is given.
        equivalent: why nobody can see it, if so.
    """

    node: str
    suspects: frozenset[str]
    graph: Graph
    arrays: Callable[[Weights], Weights] = dict
    equivalent: str | None = None


@dataclass(frozen=True)
class Wiring:
    """A kind of mistake in the wiring, and where a network has room for it.

    Attributes:
        name: what reports call it.
        find: from a network to the mistaken ones.
    """

    name: str
    find: Callable[[Graph], Iterator[Rewiring]]

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
                equivalent=found.equivalent,
            )


def _moved(graph: Graph, edges: Mapping[tuple[str, int], str]) -> Graph | None:
    """Return the graph with edges moved: (reader, number of its input) → what it reads instead.

    None where the shapes do not admit it, or a reader would come before what it reads.
    """
    nodes = {
        node.name: replace(
            node,
            inputs=tuple(edges.get((node.name, i), name) for i, name in enumerate(node.inputs)),
        )
        for node in graph.nodes
    }
    try:
        found = replace(graph, nodes=tuple(_in_order(nodes)))
    except (GraphError, RecursionError):
        return None
    return found if _same_shapes(graph, found) else None


def _in_order(nodes: Mapping[str, Node]) -> Iterator[Node]:
    """Yield nodes after those that they read, else as they stand.

    Raises:
        GraphError: a node reads what is made of it.
    """
    done, open_ = {INPUT}, list(nodes.values())
    while open_:
        ready = [node for node in open_ if done.issuperset(node.inputs)]
        if not ready:
            raise GraphError("the nodes go round in a circle")
        # The first that is ready; those that wait for a later one are tried again.
        for node in open_:
            if done.issuperset(node.inputs):
                done.add(node.name)
                yield node
        open_ = [node for node in open_ if node.name not in done]


def _same_shapes(graph: Graph, other: Graph) -> bool:
    return graph.shapes() == other.shapes()


def _readers(graph: Graph, name: str) -> list[tuple[str, int]]:
    """Return (reader, number of the input) of everything that reads a value."""
    return [(n.name, i) for n in graph.nodes for i, read in enumerate(n.inputs) if read == name]


def _rewired(graph: Graph, node: str, edges: Mapping[tuple[str, int], str]) -> Iterator[Rewiring]:
    found = _moved(graph, edges) if edges else None
    if found is not None and found != graph:
        suspects = frozenset({node, *(reader for reader, _ in edges)})
        yield Rewiring(node, suspects, found)


def _left_out(*kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    """What reads a node reads its first input instead."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        for node in graph.nodes:
            if isinstance(node.op, kinds) and not _idle(node):
                edges = dict.fromkeys(_readers(graph, node.name), node.inputs[0])
                yield from _rewired(graph, node.name, edges)

    return find


def _idle(node: Node) -> bool:
    return isinstance(node.op, Dropout)


def _second_instead(kind: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    """What reads a join reads its second input alone."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        for node in graph.nodes:
            if isinstance(node.op, kind) and len(node.inputs) > 1:
                edges = dict.fromkeys(_readers(graph, node.name), node.inputs[1])
                yield from _rewired(graph, node.name, edges)

    return find


def _exchanged_inputs(*kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    """A join reads its two inputs in the other order."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        for node in graph.nodes:
            if isinstance(node.op, kinds) and len(set(node.inputs)) > 1:
                first, second = node.inputs[:2]
                yield from _rewired(
                    graph, node.name, {(node.name, 0): second, (node.name, 1): first}
                )

    return find


def _doubled(number: int, *kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    """A join reads one input twice."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        for node in graph.nodes:
            if isinstance(node.op, kinds) and len(set(node.inputs)) > 1:
                kept = node.inputs[number]
                yield from _rewired(graph, node.name, {(node.name, 1 - number): kept})

    return find


def _two_nodes(
    first: tuple[type, ...], second: tuple[type, ...]
) -> Callable[[Graph], Iterator[Rewiring]]:
    """Two nodes in a row change places: each does its work on the other's place."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        for node in graph.nodes:
            if not isinstance(node.op, second) or len(node.inputs) != 1:
                continue
            before = graph.by_name.get(node.inputs[0])
            if before is None or not isinstance(before.op, first) or len(before.inputs) != 1:
                continue
            if len(_readers(graph, before.name)) > 1 or node.name in graph.outputs:
                continue
            edges = dict.fromkeys(_readers(graph, node.name), before.name)
            edges |= {(node.name, 0): before.inputs[0], (before.name, 0): node.name}
            yield from _rewired(graph, before.name, edges)

    return find


def _earlier(steps: int, *kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    """An input is the last value of its shape but ``steps``, in the order of the nodes."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        shapes = graph.shapes()
        names = [node.name for node in graph.nodes]
        for node in graph.nodes:
            if not isinstance(node.op, kinds):
                continue
            for number, read in enumerate(node.inputs):
                if read == INPUT:
                    continue
                alike = [n for n in names[: names.index(read)] if shapes[n] == shapes[read]]
                if len(alike) >= steps and alike[-steps] not in node.inputs:
                    yield from _rewired(graph, node.name, {(node.name, number): alike[-steps]})

    return find


def _wrong_half(graph: Graph) -> Iterator[Rewiring]:
    """What reads one slice of a value reads the other."""
    for node in graph.nodes:
        for other in graph.nodes:
            if (
                isinstance(node.op, Slice)
                and isinstance(other.op, Slice)
                and node.name != other.name
                and node.inputs == other.inputs
            ):
                edges = dict.fromkeys(_readers(graph, node.name), other.name)
                yield from _rewired(graph, node.name, edges)


def _halves_exchanged(graph: Graph) -> Iterator[Rewiring]:
    """What reads one slice reads the other, and the other way round."""
    slices = [node for node in graph.nodes if isinstance(node.op, Slice)]
    for first, second in itertools.pairwise(slices):
        if first.inputs == second.inputs:
            edges = dict.fromkeys(_readers(graph, first.name), second.name)
            edges |= dict.fromkeys(_readers(graph, second.name), first.name)
            yield from _rewired(graph, first.name, edges)


@dataclass(frozen=True)
class _Unit:
    """A run of nodes with one input and one output."""

    scope: str
    read: str
    made: str


def units(graph: Graph) -> list[_Unit]:
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
            unit = _Unit(scope, reads.pop(), makes.pop())
            if shapes[unit.read] == shapes[unit.made]:
                found.append(unit)
    return found


def _unit_left_out(graph: Graph) -> Iterator[Rewiring]:
    for unit in units(graph):
        edges = dict.fromkeys(_readers(graph, unit.made), unit.read)
        yield from _rewired(graph, unit.made, edges)


def _units_exchanged(graph: Graph) -> Iterator[Rewiring]:
    """Two units in a row change places."""
    found = units(graph)
    for first in found:
        for second in found:
            if second.read != first.made or len(_units_readers(graph, first)) > len(
                [e for e in _readers(graph, first.made) if e[0].startswith(f"{second.scope}.")]
            ):
                continue
            edges = dict.fromkeys(_readers(graph, second.made), first.made)
            edges |= {
                e: second.made
                for e in _readers(graph, first.read)
                if e[0].startswith(f"{first.scope}.")
            }
            edges |= {
                e: first.read
                for e in _readers(graph, second.read)
                if e[0].startswith(f"{second.scope}.")
            }
            yield from _rewired(graph, first.scope, edges)


def _units_readers(graph: Graph, unit: _Unit) -> list[tuple[str, int]]:
    return _readers(graph, unit.made)


def _unit_twice(graph: Graph) -> Iterator[Rewiring]:
    """A unit reads what the unit before it reads: two of them stand side by side."""
    found = units(graph)
    for first in found:
        for second in found:
            if second.read == first.made:
                edges = {
                    e: first.read
                    for e in _readers(graph, second.read)
                    if e[0].startswith(f"{second.scope}.")
                }
                yield from _rewired(graph, second.scope, edges)


def _arrays_exchanged(*kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    return lambda graph: _paired(graph, kinds, exchange=True)


def _arrays_shared(*kinds: type[Operator]) -> Callable[[Graph], Iterator[Rewiring]]:
    return lambda graph: _paired(graph, kinds, exchange=False)


def _paired(graph: Graph, kinds: tuple[type, ...], *, exchange: bool) -> Iterator[Rewiring]:
    """Two nodes of one form are given each other's arrays, or both the first one's."""
    seen: dict[tuple[str, tuple[Shape, ...]], str] = {}
    for node in graph.nodes:
        if not isinstance(node.op, kinds):
            continue
        roles = tuple(node.op.parameters())
        form = (type(node.op).__name__, tuple(p.shape for p in node.op.parameters().values()))
        if form in seen:
            first, second = seen[form], node.name

            def arrays(
                weights: Weights,
                first: str = first,
                second: str = second,
                roles: tuple[str, ...] = roles,
            ) -> Weights:
                found = dict(weights)
                for role in roles:
                    found[f"{second}.{role}"] = weights[f"{first}.{role}"]
                    if exchange:
                        found[f"{first}.{role}"] = weights[f"{second}.{role}"]
                return found

            suspects = {second, *({first} if exchange else ())}
            readers = {r for s in suspects for r, _ in _readers(graph, s)}
            yield Rewiring(second, frozenset(suspects | readers), graph, arrays)
        seen[form] = node.name


def _replaced(kinds: tuple[type, ...], other: Operator) -> Callable[[Graph], Iterator[Rewiring]]:
    """Every node of a kind is of another: a network with the wrong activation throughout."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        changed = [n.name for n in graph.nodes if isinstance(n.op, kinds) and n.op != other]
        if changed:
            nodes = tuple(
                Node(n.name, other, n.inputs) if n.name in changed else n for n in graph.nodes
            )
            yield Rewiring(changed[0], frozenset(changed), replace(graph, nodes=nodes))

    return find


def _image(indices: tuple[int, ...]) -> Callable[[Graph], Iterator[Rewiring]]:
    """The image's channels come in another order."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        if graph.in_channels != len(indices):
            return
        turned = Node("turned", ChannelPermute(indices=indices), (INPUT,))
        readers = {name for name, _ in _readers(graph, INPUT)}
        nodes = tuple(
            replace(n, inputs=tuple("turned" if name == INPUT else name for name in n.inputs))
            for n in graph.nodes
        )
        yield Rewiring(INPUT, frozenset(readers), replace(graph, nodes=(turned, *nodes)))

    return find


WIRINGS: tuple[Wiring, ...] = (
    Wiring("activation left out", _left_out(*ACTIVATIONS)),
    Wiring("batch norm left out", _left_out(BatchNorm2d)),
    Wiring("convolution left out", _left_out(Conv2d)),
    Wiring("shuffle left out", _left_out(*SHUFFLES)),
    Wiring("residual left out, the branch alone", _second_instead(Add)),
    Wiring("branch left out, the residual alone", _left_out(Add)),
    Wiring("gate left out", _left_out(Mul)),
    Wiring("inputs of a concat exchanged", _exchanged_inputs(Concat)),
    Wiring("residual doubled", _doubled(0, Add)),
    Wiring("branch doubled", _doubled(1, Add)),
    Wiring("first of a concat twice", _doubled(0, Concat)),
    Wiring("second of a concat twice", _doubled(1, Concat)),
    Wiring("map as its own gate", _doubled(0, Mul)),
    Wiring("activation before batch norm", _two_nodes((BatchNorm2d,), ACTIVATIONS)),
    Wiring("batch norm before convolution", _two_nodes((Conv2d,), (BatchNorm2d,))),
    Wiring("shuffle before the last node", _two_nodes((BatchNorm2d, ReLU, ReLU6), SHUFFLES)),
    Wiring("residual from one value earlier", _earlier(1, Add)),
    Wiring("residual from two values earlier", _earlier(2, Add)),
    Wiring("concat reads one value earlier", _earlier(1, Concat)),
    Wiring("gate of an earlier value", _earlier(1, Mul)),
    Wiring("convolution reads one value earlier", _earlier(1, Conv2d)),
    Wiring("squeeze of an earlier value", _earlier(1, GlobalAvgPool2d)),
    Wiring("branch fed from the wrong half", _wrong_half),
    Wiring("halves exchanged", _halves_exchanged),
    Wiring("unit left out", _unit_left_out),
    Wiring("two units exchanged", _units_exchanged),
    Wiring("two units side by side", _unit_twice),
    Wiring("arrays of two convolutions exchanged", _arrays_exchanged(Conv2d)),
    Wiring("arrays of two batch norms exchanged", _arrays_exchanged(BatchNorm2d)),
    Wiring("arrays of two convolutions shared", _arrays_shared(Conv2d)),
    Wiring("arrays of two batch norms shared", _arrays_shared(BatchNorm2d)),
    Wiring("ReLU throughout", _replaced((HardSwish, HardSigmoid, Sigmoid), ReLU())),
    Wiring("ReLU6 for every ReLU", _replaced((ReLU,), ReLU6())),
    Wiring("hard swish throughout", _replaced((ReLU,), HardSwish())),
    Wiring("Sigmoid for every hard sigmoid", _replaced((HardSigmoid,), Sigmoid())),
    Wiring("BGR for RGB", _image((2, 1, 0))),
    Wiring("channels of the image rolled", _image((1, 2, 0))),
)
"""Every kind of mistake in the wiring."""
