"""What a mutation is: a mistake, the operators it can be made in, and who can see it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from zoo.arch import Graph, Node, Operator, Parameter, Shape
from zoo.arch.operator import Traits
from zoo.passes import Weights

Held = dict[str, np.ndarray]
"""Role → array of one node."""


@dataclass(frozen=True, slots=True)
class Site:
    """A node of a network, where a mutation may be put.

    Attributes:
        graph: the network.
        node: the node.
        inputs: shapes of its inputs, with one image.
        output: shape of its output.
    """

    graph: Graph
    node: Node
    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def op(self) -> Any:
        """The node's operator."""
        return self.node.op


def sites(graph: Graph) -> list[Site]:
    """Return the nodes of a network as sites."""
    shapes = graph.shapes()
    return [
        Site(graph, node, tuple(shapes[name] for name in node.inputs), shapes[node.name])
        for node in graph.nodes
    ]


class Namespace(Protocol):
    """What arrays and tensors of the frameworks do not spell alike, with one signature."""

    def array(self, values: Any, like: Any) -> Any:
        """Return numbers as a tensor of another's kind and dtype."""

    def detach(self, x: Any) -> Any:
        """Return the value without a gradient."""

    def take(self, x: Any, indices: list[int], axis: int) -> Any:
        """Return these places of an axis."""

    def cat(self, xs: list[Any], axis: int) -> Any:
        """Join along an axis."""

    def permute(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Return the axes in another order."""

    def mean(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Return the mean over axes, which stay with length 1."""

    def exp(self, x: Any) -> Any:
        """Return e to the x."""

    def step(self, x: Any) -> Any:
        """Return 1 where x is positive and 0 elsewhere, in x's dtype."""

    def half(self, x: Any) -> Any:
        """Round to float16 and back."""

    def copy(self, x: Any) -> Any:
        """Return a copy of what an array or parameter holds now."""

    def assign(self, held: Any, value: Any) -> None:
        """Write a value into an array or parameter that a node holds."""


Body = Callable[[Namespace, Callable[..., Any], tuple[Any, ...], Any, Mapping[str, Any], bool], Any]
"""(namespace, the original layer, inputs, operator, what it holds by role, in training) → value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mutation at its place in a network.

    Attributes:
        mutation: name of the mutation.
        kind: ``"attribute"``, ``"function"``, ``"arrays"``, ``"wiring"`` or ``"training"``.
        operator: name of the operator's type, or of the family of wirings.
        node: where.
        level: the lowest level that can see it.
        graph: the network with the mistake.
        arrays: from the weights of the network to those that the candidate is given.
        suspects: nodes by which a proof may name it, at values: what was changed and who reads it.
        equivalent: why nobody can see it, if so.
        trainer: (backend, graph, weights, recipe) → the trainer that the candidate trains with.
        backends: those that can do what it does, or none for all.
    """

    mutation: str
    kind: str
    operator: str
    node: str
    level: str
    graph: Graph
    arrays: Callable[[Weights], Weights] = dict
    suspects: frozenset[str] = frozenset()
    equivalent: str | None = None
    trainer: Callable[..., Any] | None = None
    backends: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from the other mutants of its network."""
        return f"{self.operator}: {self.mutation} @ {self.node}"


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A mistake that can be made in one type of operator; the subclasses say how.

    Attributes:
        name: what reports call it.
        op: the operator's type.
        covers: what it is a mistake in: fields of the operator, roles of its parameters, and the
            numbers of regions of its function (``"region 0"`` is the one below its first kink).
        level: the lowest level that can see it.
        when: whether a site admits it; where it does not, there is nothing to be mistaken in.
        equivalent: why a site shows it to nobody; None where it shows.
    """

    name: str
    op: type[Operator]
    covers: tuple[str, ...] = ()
    level: str = "forward"
    when: Callable[[Site], bool] = lambda site: True
    equivalent: Callable[[Site], str | None] = lambda site: None

    kind = ""

    def at(self, site: Site) -> Mutant | None:
        """Return the mutant at a site, or None where it cannot be made."""
        if type(site.op) is not self.op or not self.when(site):
            return None
        made = self._change(site)
        if made is None:
            return None
        op, arrays = made
        readers = [n.name for n in site.graph.nodes if site.node.name in n.inputs]
        return Mutant(
            mutation=self.name,
            kind=self.kind,
            operator=self.op.__name__,
            node=site.node.name,
            level=self.level,
            graph=with_operator(site.graph, site.node.name, op),
            arrays=arrays,
            suspects=frozenset({site.node.name, *readers}),
            equivalent=self.equivalent(site),
        )

    def _change(self, site: Site) -> tuple[Operator, Callable[[Weights], Weights]] | None:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Attribute(Mutation):
    """Another operator with parameters of the same shapes: every backend can run it.

    Attributes:
        make: from a site to the operator that takes the place of its own; None: not here.
    """

    make: Callable[[Site], Operator | None]
    kind = "attribute"

    def _change(self, site: Site) -> tuple[Operator, Callable[[Weights], Weights]] | None:
        op = self.make(site)
        if op is None or op == site.op or op.output_shape(*site.inputs) != site.output:
            return None
        return op, dict


@dataclass(frozen=True, kw_only=True)
class Function(Mutation):
    """Another function in plain tensor arithmetic, for backends that run Python.

    Attributes:
        body: the function; see `Body`.
        inner: from a site to the operator that the original layer is built of, if another.
    """

    body: Body
    inner: Callable[[Site], Operator] | None = None
    kind = "function"

    def _change(self, site: Site) -> tuple[Operator, Callable[[Weights], Weights]] | None:
        layer = self.inner(site) if self.inner else site.op
        return Mutated(inner=site.op, layer=layer, body=self.body), dict


def simple(
    op: type[Operator], name: str, body: Callable[[Namespace, Any, Any, Any], Any], **more: Any
) -> Function:
    """Return a function of the layer, its one input and its operator."""
    return Function(
        name=name,
        op=op,
        body=lambda ns, layer, x, op, held, training: body(ns, layer, x[0], op),
        **more,
    )


@dataclass(frozen=True, kw_only=True)
class Arrays(Mutation):
    """Other arrays than the canonical ones: what a converter or a loader mistakes.

    Attributes:
        change: from a node's arrays by role to the mistaken ones (those that differ).
    """

    change: Callable[[Held, Any], Held]
    kind = "arrays"

    def _change(self, site: Site) -> tuple[Operator, Callable[[Weights], Weights]] | None:
        def change(weights: Weights) -> Weights:
            name = site.node.name
            held = {role: weights[f"{name}.{role}"] for role in site.op.parameters()}
            found = self.change(dict(held), site.op)
            return weights | {
                f"{name}.{role}": np.ascontiguousarray(array, np.float32)
                for role, array in found.items()
            }

        return site.op, change


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutated(Operator):
    """An operator whose function is another's, changed: shapes and parameters are the other's.

    Attributes:
        inner: the operator that it stands for.
        layer: what the original layer is built of; the same, or one with other attributes.
        body: the function.
    """

    inner: Operator
    layer: Operator
    body: Body

    # What a body does is not known: nothing is written over, nothing is taken for granted.
    traits: ClassVar[Traits] = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        overwrites=False,
        result="view",
        rounds=True,
    )

    @property
    def arity(self) -> int | None:  # type: ignore[override]
        """How many inputs the other takes."""
        return self.inner.arity

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the other's."""
        return self.inner.output_shape(*inputs)

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the other's."""
        return self.inner.parameters()

    def macs(self, output: Shape) -> int:
        """Return the other's."""
        return self.inner.macs(output)


def with_operator(graph: Graph, name: str, op: Operator) -> Graph:
    """Return the network with another operator at one node."""
    nodes = (replace(node, op=op) if node.name == name else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))
