"""From a program to a graph: operators by the rules, under the names of the user's own modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zoo.adoption.program import UNREAD, Call, Program, refuse
from zoo.adoption.rules import RULES, UnfitError
from zoo.adoption.simplify import simplified
from zoo.arch import INPUT, Graph, Node, Operator, Shape
from zoo.arch.operators import Weight
from zoo.errors import AdoptionError, GraphError
from zoo.passes.constant import packed


@dataclass(frozen=True)
class Canonical:
    """A program as a graph.

    Attributes:
        graph: of our operators.
        weights: canonical name → float32 array.
        theirs: canonical name → the name that the user's network has for it.
        shapes: canonical name → the shape that it has there.
        notes: what is to be known of how it was read.
        output_names: what the outputs are called there.
    """

    graph: Graph
    weights: dict[str, np.ndarray]
    theirs: dict[str, str]
    shapes: dict[str, Shape]
    notes: tuple[str, ...]
    output_names: tuple[str, ...] = ()


def canonical(program: Program) -> Canonical:
    """Return a program as a graph.

    Raises:
        AdoptionError: it has something that no operator of ours is; all of it is told at once.
    """
    found = None
    try:
        found = _canonical(program)
    except AdoptionError as error:
        refuse((*program.problems, *(error.problems or [str(error)])))
    except Exception:
        if not program.problems:  # what is read of the calls around a hole may be anything
            raise
    refuse(program.problems)
    assert found is not None
    return found


def _canonical(program: Program) -> Canonical:
    _require_order(program)
    program = simplified(program)
    shapes = program.shapes()
    arrays = program.arrays
    names = _Names(program)
    values = {program.input: INPUT}
    nodes: list[Node] = []
    problems: list[str] = []
    held_by: dict[str, str] = {}
    for call in program.calls:
        made = _operators(call, [shapes[name] for name in call.inputs], arrays, problems)
        read = tuple(values.get(name, INPUT) for name in call.inputs)
        for i, op in enumerate(made):
            name = names.of(call, type(op).__name__ if i else "")
            nodes.append(Node(name, op, read))
            read = (name,)
        if made:
            first = nodes[-len(made)].name
            held_by |= {f"{first}.{role}": held for role, held in call.held.items()}
        values[call.name] = read[0]
    refuse(problems + _apart(program) + _shared(held_by))
    outputs = tuple(values[name] for name in program.outputs)
    _, channels, *size = program.input_shape
    try:
        graph = Graph(channels, (size[0], size[1]), tuple(nodes), outputs, program.as_tuple)
    except GraphError as error:
        refuse([str(error)])
        raise
    weights = {
        name: np.asarray(arrays[held_by[name]], order="C").reshape(parameter.shape)
        for name, parameter in graph.parameters.items()
    }
    graph = with_constants(graph, weights)
    left = sorted(set(arrays) - set(held_by.values()) - program.constants)
    if left:
        told = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        program.notes.append(f"no output depends on {told}: left out")
    theirs = {ours: name for ours, name in held_by.items() if name not in program.constants}
    there = {ours: tuple(arrays[name].shape) for ours, name in theirs.items()}
    return Canonical(graph, weights, theirs, there, tuple(program.notes), program.output_names)


def _require_order(program: Program) -> None:
    """Refuse calls that read what nothing before them makes, or nothing at all."""
    made = {program.input}
    problems = []
    for call in program.calls:
        wrong = [name for name in call.inputs if name not in made]
        told = f"{call.place}: {call.kind} reads"
        problems += [f"{told} {name}, which no call before makes" for name in wrong]
        made.add(call.name)
    if not program.outputs:
        problems.append("it returns nothing")
    unmade = [name for name in program.outputs if name not in made]
    refuse(problems + [f"output {name} is made by nothing" for name in unmade])


def _operators(
    call: Call,
    read: list[tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    problems: list[str],
) -> list[Operator]:
    rule = RULES.get(call.kind)
    if call.kind == UNREAD:
        return []
    if rule is None:
        problems.append(f"{call.place}: {call.kind} is no operator of the zoo")
        return []
    held = {role: tuple(arrays[name].shape) for role, name in call.held.items()}
    try:
        return rule(call, read, held)
    except (UnfitError, GraphError) as error:
        problems.append(f"{call.place}: {error}")
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # of a file of strangers
        problems.append(f"{call.place}: {call.kind}: its values do not fit ({error})")
    return []


def _shared(theirs: Mapping[str, str]) -> list[str]:
    """Return what is said of arrays that several layers compute with."""
    users: dict[str, list[str]] = {}
    for ours, name in theirs.items():
        users.setdefault(name, []).append(ours.rpartition(".")[0])
    return [
        f"{name}: is shared by {' and '.join(layers)}, which no layer of ours can"
        for name, layers in users.items()
        if len(layers) > 1
    ]


def _apart(program: Program) -> list[str]:
    """Return what is said of values that have the images elsewhere than in front."""
    lost = [
        f"{call.place}: {call.kind} makes {call.shape} with the images on axis {call.images}: they "
        "must be in front"
        for call in program.calls
        if call.kind in RULES and call.images > 0
    ]
    outputs = [call for call in program.calls if call.name in program.outputs]
    return lost + [
        f"{call.place}: what the network returns {call.shape} must be one value of each image"
        for call in outputs if call.images < 0 or call.shape[:1] != (1,)
    ]  # fmt: skip


class _Names:
    """Names of nodes: the user's own paths, and functions by what they are.

    What holds arrays is called like the module that owns them, what a module without others does
    like that module, and any other function like itself, within the module that calls it.
    """

    def __init__(self, program: Program) -> None:
        self._leaves = program.modules
        owners = {call.name: _owner(call) for call in program.calls if call.held}
        self._holders = set(owners.values())
        self._owners = {name: self._outside(owner) for name, owner in owners.items()}
        self._holders = set(self._owners.values())
        self._taken: set[str] = {INPUT, *self._holders}
        self._numbers: dict[str, int] = {}
        self._given: set[str] = set()

    def of(self, call: Call, further: str) -> str:
        """Return the name of a call's node, or of a further node of it."""
        owner = self._owners.get(call.name)
        if owner and not further and owner not in self._given:
            self._given.add(owner)
            return owner
        scope, kind = self._outside(call.scope), _snake(further) or call.kind
        leaf = call.scope in self._leaves
        if leaf and not further and scope not in self._holders:
            wanted = scope
        elif scope in self._holders or leaf or scope != call.scope:
            wanted = f"{scope}_{kind}"
        else:
            wanted = f"{scope}.{kind}" if scope else kind
        name, number = wanted, self._numbers.get(wanted, 1)
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._numbers[wanted] = number
        self._taken.add(name)
        return name

    def _outside(self, scope: str) -> str:
        """Return a scope that lies in no layer: ``bn1.act`` of a norm ``bn1`` is ``bn1_act``."""
        parts = scope.split(".")
        for i in range(1, len(parts)):
            if ".".join(parts[:i]) in self._holders:
                return f"{'.'.join(parts[:i])}_{'_'.join(parts[i:])}"
        return scope


def _owner(call: Call) -> str:
    """Return what a node is called for the first array that it holds: ``conv.weight`` is conv's.

    One that is no layer's is called like itself, and ``attention.in_proj_weight`` ``in_proj``.
    """
    role, first = next(iter(call.held.items()))
    for end in (f".{role}", f"_{role}"):
        if first.endswith(end) and call.kind != "weight":
            return first.removesuffix(end)
    return first.rpartition(".")[0] or call.kind if call.kind != "weight" else first


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def with_constants(graph: Graph, weights: Mapping[str, np.ndarray]) -> Graph:
    """Return a graph that holds its constants, which no training changes and nothing draws."""
    nodes = (
        replace(node, op=replace(node.op, value=packed(weights[f"{node.name}.weight"])))
        if isinstance(node.op, Weight) and not node.op.trainable
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))
