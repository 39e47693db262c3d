"""The graph: an ordered list of named nodes that every interpreter walks, validated once.

Because the rules are checked here (names, order, arity, shapes at the nominal size), no backend
needs defensive checks, and because all of them run the same named nodes, a divergence has a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from zoo.arch.operator import Operator, Parameter, Shape, Traits
from zoo.arch.preprocessing import Preprocessing
from zoo.errors import GraphError, InputError, unknown

INPUT = "input"
"""The name that nodes read the network's input by."""

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Node:
    """An operator under a dotted path (``stage2.0.expand.conv``) and the names it reads."""

    name: str
    op: Operator
    inputs: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Graph:
    """Nodes in an order in which they can be run.

    Attributes:
        in_channels: channels of the input.
        image_size: nominal height and width of the input; other sizes are admitted as far as the
            windows fit.
        nodes: the nodes, each after those it reads.
        outputs: the names of the values that a call returns.
        as_tuple: whether a call returns a tuple even of one value.
        origin: the `Spec` that it came from, with which it is saved; equality does not ask for it.
        preprocessing: of the pictures that a model's weights want, where that is known; likewise.

    Raises:
        GraphError: a name that is malformed, doubled or unknown, an operator without traits, a
            wrong number of inputs, or shapes that an operator does not admit at the nominal size.
    """

    in_channels: int
    image_size: tuple[int, int]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    as_tuple: bool = False
    origin: object = field(default=None, compare=False, repr=False)
    preprocessing: Preprocessing | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape[1:]))
        return f"<Graph of {len(self.nodes)} nodes: {shape} → {', '.join(self.outputs)}>"

    def __post_init__(self) -> None:
        seen = {INPUT}
        for node in self.nodes:
            if not _NAME.fullmatch(node.name):
                raise GraphError(f"{node.name!r} is not a dotted name of letters, digits, _ and -")
            if node.name in seen:
                raise GraphError(f"{node.name}: the name is taken by an earlier node")
            for name in node.inputs:
                if name not in seen:
                    raise GraphError(f"{node.name}: reads {name!r}, which no earlier node makes")
            kind = type(node.op).__name__
            if not isinstance(getattr(node.op, "traits", None), Traits):
                raise GraphError(f"{node.name}: {kind} is no operator: it states no traits")
            arity = node.op.arity
            if len(node.inputs) != arity if arity is not None else not node.inputs:
                raise GraphError(
                    f"{node.name}: {kind} takes {'at least 1' if arity is None else arity} "
                    f"input(s), not {len(node.inputs)}"
                )
            seen.add(node.name)
        for name in self.outputs:
            if name not in seen:
                raise GraphError(f"output {name!r} is no node of the graph")
        self.shapes()

    @property
    def returns_tuple(self) -> bool:
        """Whether a call returns a tuple, not one value."""
        return self.as_tuple or len(self.outputs) > 1

    @property
    def input_shape(self) -> Shape:
        """The nominal input shape with one image."""
        return (1, self.in_channels, *self.image_size)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """Canonical name (node + role) → parameter, in the order of the nodes."""
        return {
            f"{node.name}.{role}": parameter
            for node in self.nodes
            for role, parameter in node.op.parameters().items()
        }

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The values that do not depend on the image: what is made of weights alone."""
        found: set[str] = set()
        for node in self.nodes:
            if found.issuperset(node.inputs):
                found.add(node.name)
        return frozenset(found)

    def shapes(self, input_shape: Shape | None = None) -> dict[str, Shape]:
        """Return the shape of every value for an input shape (by default the nominal one).

        Raises:
            GraphError: an operator does not admit its inputs; the message names the node.
        """
        asked = input_shape or self.input_shape
        if asked != self.input_shape:
            return self._infer(asked)
        return dict(self._nominal_shapes)

    @cached_property
    def _nominal_shapes(self) -> Mapping[str, Shape]:
        """What is asked for again and again; other sizes are inferred each time."""
        return self._infer(self.input_shape)

    def _infer(self, input_shape: Shape) -> dict[str, Shape]:
        shapes = {INPUT: input_shape}
        for node in self.nodes:
            shapes[node.name] = infer(node, shapes)
        return shapes

    def check_input(self, shape: Sequence[int]) -> None:
        """Raise `InputError` unless an input of this shape can be run."""
        expected = (
            f"(N, {self.in_channels}, H, W), {self.image_size[0]}x{self.image_size[1]} nominally"
        )
        if len(shape) != 4:
            raise InputError(
                f"input: rank (={len(shape)}) must be 4, {expected}; got shape {tuple(shape)}"
            )
        if shape[1] != self.in_channels:
            raise InputError(
                f"input: channels (={shape[1]}) must be {self.in_channels}, {expected}; "
                f"got shape {tuple(shape)}"
            )
        size = f"input: size {shape[2]}x{shape[3]} is not admitted"
        try:
            shapes = self.shapes((1, *shape[1:]))
        except GraphError as error:
            raise InputError(f"{size}: {error}") from None
        for name in self.outputs:  # a reshape may have made several of an image that is larger
            if shapes[name][:1] != self.shapes()[name][:1]:
                raise InputError(f"{size}: {name} makes {shapes[name]} of an image")

    def last_reader(self) -> dict[str, int]:
        """Return for each value the index of its last reader (outputs: past the end)."""
        last = {name: i for i, node in enumerate(self.nodes) for name in (node.name, *node.inputs)}
        return last | {name: len(self.nodes) for name in self.outputs}

    def resolve(self, name: str) -> str:
        """Return the node that ``name`` means: a node, or the last node of a scope (``stage2``).

        Raises:
            UnknownNameError: no such node or scope.
        """
        if name == INPUT or name in self.by_name:
            return name
        inside = [node.name for node in self.nodes if node.name.startswith(f"{name}.")]
        if not inside:
            parts = (node.name.split(".") for node in self.nodes)
            scopes = {".".join(p[:depth]) for p in parts for depth in range(1, len(p) + 1)}
            raise unknown("node", name, scopes)
        return inside[-1]

    def select(self, outputs: Iterable[str], *, as_tuple: bool = False) -> Graph:
        """Return the graph that computes just these nodes or scopes, without dead nodes."""
        names = tuple(self.resolve(name) for name in outputs)
        if not names:
            raise GraphError("outputs must name at least one node")
        alive = set(names)
        for node in reversed(self.nodes):
            if node.name in alive:
                alive.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in alive)
        return Graph(self.in_channels, self.image_size, nodes, names, as_tuple)


def infer(node: Node, shapes: Mapping[str, Shape]) -> Shape:
    """Return the output shape of a node; a broken rule is raised under the node's name."""
    try:
        return node.op.output_shape(*(shapes[name] for name in node.inputs))
    except GraphError as error:
        raise GraphError(f"{node.name}: {error}") from None


def shape_read(node: Node, shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape of what a node reads first; of one that reads nothing, of what it makes."""
    return shapes[node.inputs[0] if node.inputs else node.name]
