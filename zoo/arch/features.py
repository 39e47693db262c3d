"""Feature maps by name: what ``create(..., outputs=[...])`` hands out, told before it is built."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.arch.graph import INPUT, Graph
from zoo.arch.windows import Window


@dataclass(frozen=True)
class Feature:
    """The feature map that a scope ends in.

    Attributes:
        name: of the scope, as ``outputs`` takes it (``"stage2"``).
        node: the node that makes it.
        channels: of the map.
        stride: pixels of the image for one of the map, along each side.
        size: height and width for an image of the nominal size.
    """

    name: str
    node: str
    channels: int
    stride: int
    size: tuple[int, int]


def features(graph: Graph) -> dict[str, Feature]:
    """Return the feature maps of a network by the name of their scope, in order.

    They are the last values of the outermost scopes, as far as these are maps: ``stem``,
    ``stage2``, ….
    """
    strides, shapes = {INPUT: 1}, graph.shapes()
    found: dict[str, Feature] = {}
    for node in graph.nodes:
        own = node.op.stride[0] if isinstance(node.op, Window) else 1
        strides[node.name] = own * max(strides[name] for name in node.inputs)
        scope, dot, _ = node.name.partition(".")
        shape = shapes[node.name]
        if dot and len(shape) == 4:
            size = (shape[2], shape[3])
            found[scope] = Feature(scope, node.name, shape[1], strides[node.name], size)
    return found
