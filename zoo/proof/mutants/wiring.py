"""Every kind of mistake in the wiring of a network: its edges, its units, its arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from zoo.arch import INPUT, Graph, Node, Operator, Shape
from zoo.arch.operators import (
    Add,
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Conv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    Slice,
)
from zoo.passes import Weights
from zoo.proof.mutants.rewiring import Edges, Find, Rewiring, Wiring, moving, readers
from zoo.proof.mutants.units import unit_left_out, unit_twice, units_exchanged

ACTIVATIONS = (ReLU, ReLU6, HardSwish, HardSigmoid, Sigmoid)
SHUFFLES = (ChannelShuffle, ChannelPermute)
Moves = Iterator[tuple[str, Edges]]


@moving
def _instead(graph: Graph, number: int, *kinds: type[Operator]) -> Moves:
    """What reads a node reads one of its inputs instead."""
    for node in graph.nodes:
        if isinstance(node.op, kinds) and number < len(node.inputs):
            yield node.name, dict.fromkeys(readers(graph, node.name), node.inputs[number])


_left_out = partial(_instead, 0)


def _joins(graph: Graph, kind: type[Operator]) -> Iterator[Node]:
    return (n for n in graph.nodes if isinstance(n.op, kind) and len(set(n.inputs)) > 1)


@moving
def _exchanged_inputs(graph: Graph, kind: type[Operator]) -> Moves:
    """A join reads its two inputs in the other order."""
    for node in _joins(graph, kind):
        first, second = node.inputs[:2]
        yield node.name, {(node.name, 0): second, (node.name, 1): first}


@moving
def _doubled(graph: Graph, number: int, kind: type[Operator]) -> Moves:
    """A join reads one input twice."""
    for node in _joins(graph, kind):
        yield node.name, {(node.name, 1 - number): node.inputs[number]}


@moving
def _two_nodes(graph: Graph, first: tuple[type, ...], second: tuple[type, ...]) -> Moves:
    """Two nodes in a row change places: each does its work on the other's place."""
    for node in graph.nodes:
        before = graph.by_name.get(node.inputs[0]) if node.inputs else None
        if (
            before is not None
            and isinstance(before.op, first)
            and isinstance(node.op, second)
            and len(before.inputs) == len(node.inputs) == 1
            and len(readers(graph, before.name)) == 1
            and node.name not in graph.outputs
        ):
            edges = dict.fromkeys(readers(graph, node.name), before.name)
            edges |= {(node.name, 0): before.inputs[0], (before.name, 0): node.name}
            yield before.name, edges


@moving
def _earlier(graph: Graph, steps: int, kind: type[Operator]) -> Moves:
    """An input is the last value of its shape but ``steps``, in the order of the nodes."""
    shapes = graph.shapes()
    names = [node.name for node in graph.nodes]
    for node in graph.nodes:
        for number, read in enumerate(node.inputs if isinstance(node.op, kind) else ()):
            if read == INPUT:
                continue
            alike = [n for n in names[: names.index(read)] if shapes[n] == shapes[read]]
            if len(alike) >= steps and alike[-steps] not in node.inputs:
                yield node.name, {(node.name, number): alike[-steps]}


def _slices(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Slice)]


@moving
def _wrong_half(graph: Graph) -> Moves:
    """What reads one slice of a value reads the other."""
    for node, other in itertools.permutations(_slices(graph), 2):
        if node.inputs == other.inputs:
            yield node.name, dict.fromkeys(readers(graph, node.name), other.name)


@moving
def _halves_exchanged(graph: Graph) -> Moves:
    """What reads one slice reads the other, and the other way round."""
    for first, second in itertools.pairwise(_slices(graph)):
        if first.inputs == second.inputs:
            edges = dict.fromkeys(readers(graph, first.name), second.name)
            yield first.name, edges | dict.fromkeys(readers(graph, second.name), first.name)


def _exchanged_arrays(kind: type[Operator]) -> Find:
    return lambda graph: _paired(graph, kind, exchange=True)


def _shared_arrays(kind: type[Operator]) -> Find:
    return lambda graph: _paired(graph, kind, exchange=False)


def _paired(graph: Graph, kind: type[Operator], *, exchange: bool) -> Iterator[Rewiring]:
    """Two nodes of one form are given each other's arrays, or both the first one's."""
    seen: dict[tuple[Shape, ...], str] = {}
    for node in graph.nodes:
        if not isinstance(node.op, kind):
            continue
        roles = tuple(node.op.parameters())
        form = tuple(parameter.shape for parameter in node.op.parameters().values())
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
            suspects |= {r for s in suspects for r, _ in readers(graph, s)}
            yield Rewiring(second, frozenset(suspects), graph, arrays)
        seen[form] = node.name


def _replaced(kinds: tuple[type, ...], other: Operator) -> Find:
    """Every node of a kind is of another: a network with the wrong activation throughout."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        changed = [n.name for n in graph.nodes if isinstance(n.op, kinds) and n.op != other]
        if changed:
            nodes = tuple(
                Node(n.name, other, n.inputs) if n.name in changed else n for n in graph.nodes
            )
            yield Rewiring(changed[0], frozenset(changed), replace(graph, nodes=nodes))

    return find


def _image(indices: tuple[int, ...]) -> Find:
    """The image's channels come in another order."""

    def find(graph: Graph) -> Iterator[Rewiring]:
        if graph.in_channels != len(indices):
            return
        turned = Node("turned", ChannelPermute(indices=indices), (INPUT,))
        suspects = frozenset(name for name, _ in readers(graph, INPUT))
        nodes = tuple(
            replace(n, inputs=tuple("turned" if name == INPUT else name for name in n.inputs))
            for n in graph.nodes
        )
        yield Rewiring(INPUT, suspects, replace(graph, nodes=(turned, *nodes)))

    return find


WIRINGS: tuple[Wiring, ...] = (
    Wiring("activation left out", _left_out(*ACTIVATIONS)),
    Wiring("batch norm left out", _left_out(BatchNorm2d)),
    Wiring("convolution left out", _left_out(Conv2d)),
    Wiring("shuffle left out", _left_out(*SHUFFLES)),
    Wiring("residual left out, the branch alone", _instead(1, Add)),
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
    Wiring("branch fed from the wrong half", _wrong_half()),
    Wiring("halves exchanged", _halves_exchanged()),
    Wiring("unit left out", unit_left_out()),
    Wiring("two units exchanged", units_exchanged()),
    Wiring("two units side by side", unit_twice()),
    Wiring("arrays of two convolutions exchanged", _exchanged_arrays(Conv2d)),
    Wiring("arrays of two batch norms exchanged", _exchanged_arrays(BatchNorm2d)),
    Wiring("arrays of two convolutions shared", _shared_arrays(Conv2d)),
    Wiring("arrays of two batch norms shared", _shared_arrays(BatchNorm2d)),
    Wiring("ReLU throughout", _replaced((HardSwish, HardSigmoid, Sigmoid), ReLU())),
    Wiring("ReLU6 for every ReLU", _replaced((ReLU,), ReLU6())),
    Wiring("hard swish throughout", _replaced((ReLU,), HardSwish())),
    Wiring("Sigmoid for every hard sigmoid", _replaced((HardSigmoid,), Sigmoid())),
    Wiring("BGR for RGB", _image((2, 1, 0))),
    Wiring("channels of the image rolled", _image((1, 2, 0))),
)
"""Every kind of mistake in the wiring."""
