"""What a graph says of images of its own size alone, where a family says it of any.

A mean of a window that is the whole map, and padding in numbers where a rule makes them of the
size: exporters, and code that pads by hand, leave no more than that.
"""

from __future__ import annotations

import dataclasses

from zoo.arch import Graph, Operator, Shape
from zoo.arch.graph import shape_read
from zoo.arch.operators import AvgPool2d, Conv2d, GlobalAvgPool2d

Notes = tuple[str, ...]


def with_global_pool(graph: Graph) -> tuple[Graph, Notes]:
    """Return the graph with means of whole maps as global ones, which they are at this size."""
    shapes = graph.shapes()
    pools = {}
    for node in graph.nodes:
        whole, op = shape_read(node, shapes)[2:], node.op
        if isinstance(op, AvgPool2d) and (op.kernel_size, op.padding) == (whole, (0, 0, 0, 0)):
            pools[node.name] = dataclasses.replace(node, op=GlobalAvgPool2d())
    notes = tuple(
        f"{name}: a mean of the whole map at {_size(graph)} alone: of any, here" for name in pools
    )
    nodes = tuple(pools.get(node.name, node) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=nodes), notes


def in_numbers(op: Operator, read: Shape) -> Operator:
    """Return a convolution with its padding in numbers; any other operator as it is."""
    if not isinstance(op, Conv2d) or op.padding != "SAME_UPPER":
        return op
    return dataclasses.replace(op, padding=op.resolved((read[2], read[3])))


def padding_of_one_size(ours: Graph, theirs: Graph, names: dict[str, str]) -> Notes:
    """Return the note on what pads by a rule in our graph, and by its numbers in theirs."""
    found = [
        f"{name} ({names[name]})"
        for name in names
        if ours.by_name[name].op != theirs.by_name[names[name]].op
    ]
    if not found:
        return ()
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"{found[0]}{more}: padding of {_size(theirs)} alone: SAME_UPPER, of any, here",
    )  # fmt: skip


def _size(graph: Graph) -> str:
    return "×".join(map(str, graph.image_size))
