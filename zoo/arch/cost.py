"""What a network costs, read off its graph: shapes, parameters, multiply-adds, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo.arch.graph import INPUT, Graph
from zoo.arch.operator import Shape

FLOAT32 = 4
"""Bytes of a value."""


@dataclass(frozen=True, slots=True)
class NodeCost:
    """The cost of one node; ``params`` are trained, ``buffers`` are running statistics."""

    name: str
    op: str
    shape: Shape
    params: int
    buffers: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """The cost of a network for one input shape.

    Attributes:
        input_shape: what it was counted for.
        nodes: a row for each node.
        peak_bytes: the largest sum of values alive at once when they are dropped after their last
            reader, input and float32 throughout (what inference needs, not what a framework
            reserves).
    """

    input_shape: Shape
    nodes: tuple[NodeCost, ...]
    peak_bytes: int

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape[1:]))
        return (
            f"<Cost of {len(self.nodes)} nodes at {shape}: {self.params:,} parameters, "
            f"{self.macs:,} multiply-adds, {self.peak_bytes:,} bytes alive at once>"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks: a row for each part of the network."""
        parts: dict[str, list[NodeCost]] = {}
        for node in self.nodes:
            parts.setdefault(node.name.partition(".")[0], []).append(node)
        lines = ["<tr><th></th><th>output</th><th>parameters</th><th>multiply-adds</th></tr>"]
        for name, held in (*parts.items(), ("total", self.nodes)):
            shape = "×".join(map(str, held[-1].shape[1:]))
            params, macs = sum(n.params for n in held), sum(n.macs for n in held)
            lines.append(
                f"<tr><th>{name}</th><td>{shape}</td><td>{params:,}</td><td>{macs:,}</td></tr>"
            )
        return f"<table>{''.join(lines)}</table>"

    @property
    def params(self) -> int:
        """Trained parameters."""
        return sum(node.params for node in self.nodes)

    @property
    def buffers(self) -> int:
        """Values of running statistics."""
        return sum(node.buffers for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers, as papers count them."""
        return sum(node.macs for node in self.nodes)

    @property
    def activation_bytes(self) -> int:
        """The outputs of all nodes (what training keeps, roughly)."""
        return sum(node.activation_bytes for node in self.nodes)


def cost(graph: Graph, input_shape: Shape | None = None) -> Cost:
    """Count a graph for an input shape, by default one image of the nominal size.

    Raises:
        InputError: the graph cannot be run on this shape.
    """
    input_shape = input_shape or graph.input_shape
    graph.check_input(input_shape)
    shapes = graph.shapes(input_shape)
    rows = []
    for node in graph.nodes:
        parameters = node.op.parameters().values()
        shape = shapes[node.name]
        rows.append(
            NodeCost(
                name=node.name,
                op=type(node.op).__name__,
                shape=shape,
                params=sum(math.prod(p.shape) for p in parameters if p.trainable),
                buffers=sum(math.prod(p.shape) for p in parameters if not p.trainable),
                macs=node.op.macs(shape),
                activation_bytes=math.prod(shape) * FLOAT32,
            )
        )
    return Cost(input_shape, tuple(rows), _peak_bytes(graph, shapes))


def _peak_bytes(graph: Graph, shapes: dict[str, Shape]) -> int:
    last = graph.last_reader()
    alive = {INPUT}
    peak = 0
    for i, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum(math.prod(shapes[name]) for name in alive))
        alive = {name for name in alive if last.get(name, -1) > i}
    return peak * FLOAT32
