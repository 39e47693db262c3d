"""The same numbers in another rank or order of axes, where that is no other function.

Rows instead of maps of one pixel, an array of one axis instead of one that is repeated along more,
and a product with it before axes are turned instead of after.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.arch import Graph, Node, Shape
from zoo.arch.operators import (
    Add,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    Mul,
    Permute,
    Reshape,
    Weight,
)

Readers = dict[str, list[Node]]


def with_our_ranks(graph: Graph) -> Graph:
    """Return the graph in the ranks that networks of families have.

    A layer norm of what a mean left of maps reads rows, and an array that maps are multiplied with
    or added to has no axes in front that it is repeated along, and nothing that reshapes it.
    """
    graph = _scaled_last(graph)
    shapes, readers = graph.shapes(), _readers(graph)
    same: dict[str, str] = {}
    changed: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, Reshape) and _is_row(node, readers, shapes):
            changed[node.name] = replace(node, op=Flatten())
        if isinstance(node.op, Weight):
            seen, turned = node, readers[node.name]
            if len(turned) == 1 and isinstance(turned[0].op, Reshape):
                (seen,) = turned
            shape = shapes[seen.name]
            while shape[:1] == (1,) != shape:
                shape = shape[1:]
            if _is_repeated(seen.name, readers, shapes):
                changed[node.name] = replace(node, op=replace(node.op, shape=shape))
                same[seen.name] = node.name
    nodes = (
        replace(node, inputs=tuple(same.get(name, name) for name in node.inputs))
        for node in (changed.get(node.name, node) for node in graph.nodes)
        if same.get(node.name, node.name) == node.name
    )
    return replace(graph, nodes=tuple(nodes))


def _scaled_last(graph: Graph) -> Graph:
    """Return the graph with axes turned before the product with an array of the last one."""
    shapes, readers = graph.shapes(), _readers(graph)
    place = {node.name: i for i, node in enumerate(graph.nodes)}
    nodes = list(graph.nodes)
    same: dict[str, str] = {}
    for node in graph.nodes:
        turned = readers[node.name][0] if len(readers[node.name]) == 1 else node
        if not isinstance(node.op, Mul) or not isinstance(turned.op, Permute):
            continue
        x, array = node.inputs
        held = graph.by_name.get(array)
        row, dims = shapes[array], turned.op.dims
        if (
            held is not None
            and isinstance(held.op, Weight)
            and len(readers[array]) == len(row) == 1
            and row == shapes[x][-1:]
        ):
            axes = row + (1,) * (len(dims) - 1 - dims.index(len(dims) - 1))
            nodes[place[array]] = replace(held, op=replace(held.op, shape=axes))
            nodes[place[node.name]] = replace(turned, inputs=(x,))
            nodes[place[turned.name]] = replace(node, inputs=(turned.name, array))
            same[turned.name] = node.name
    # What read the turned product reads the product of what is turned.
    made = set(same.values())
    nodes = [
        node
        if node.name in made
        else replace(node, inputs=tuple(same.get(name, name) for name in node.inputs))
        for node in nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def _readers(graph: Graph) -> Readers:
    """Return what reads each node; the network's outputs are read by something else as well."""
    readers: Readers = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for name in readers.keys() & node.inputs:
            readers[name].append(node)
    for name in readers.keys() & graph.outputs:
        readers[name].append(Node("", GlobalAvgPool2d(), (name,)))
    return readers


def _is_row(node: Node, readers: Readers, shapes: dict[str, Shape]) -> bool:
    """Return whether a value has one axis, and is normed along it to be made a row."""
    made, read = shapes[node.name], shapes[node.inputs[0]]
    return (
        len(made) > 1
        and set(made[1:-1]) <= {1}
        and made[:1] == read[:1]
        and all(
            isinstance(norm.op, LayerNorm)
            and norm.op.normalized_shape == made[-1:]
            and all(isinstance(reader.op, Flatten) for reader in readers[norm.name])
            for norm in readers[node.name]
        )
    )


def _is_repeated(name: str, readers: Readers, shapes: dict[str, Shape]) -> bool:
    """Return whether all that is done with a value is to multiply or add to others of its rank."""
    return all(
        isinstance(reader.op, Add | Mul)
        and all(len(shapes[n]) >= len(shapes[name]) for n in reader.inputs)
        and set(reader.inputs) != {name}
        for reader in readers[name]
    )
