"""Feature maps by name and by resolution: what can be had of a network, told before it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.arch.feature_info import FeatureInfo
from zoo.arch.graph import INPUT, Graph
from zoo.arch.head import head_of, joints
from zoo.arch.operators import Upsample, Window


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
    strides, shapes = _strides(graph), graph.shapes()
    found: dict[str, Feature] = {}
    for node in graph.nodes:
        scope, dot, _ = node.name.partition(".")
        shape = shapes[node.name]
        if dot and len(shape) == 4:
            size = (shape[2], shape[3])
            found[scope] = Feature(scope, node.name, shape[1], strides[node.name], size)
    return found


def feature_info(graph: Graph) -> FeatureInfo:
    """Return a map for each resolution of a whole network, from the finest on.

    It is the one that the last scope at this resolution ends in, of those that look beyond a pixel:
    of ``stem``, ``stage2`` at one resolution the latter, of ``stage4`` and a ``last`` of 1×1
    convolutions the former. Where none looks that far, it is the last of all. Of a resolution that
    a scope only passes through (``stem``, of whose convolution and pool each halve the image), it
    is the last value there which everything flows through. Of a network of several outputs they are
    those of the first. Other graphs have none.
    """
    if graph.returns_tuple:
        graph = dataclasses.replace(graph.select(graph.outputs[:1]), origin=graph.origin)
    head = head_of(graph)
    if head is None:
        return FeatureInfo([])
    strides, shapes = _strides(graph), graph.shapes()
    names = [node.name for node in graph.nodes]
    within = graph.nodes[: names.index(head.features) + 1]
    inside = {node.name for node in within}
    ends = {node.name.partition(".")[0]: node.name for node in within if "." in node.name}
    looking = {
        node.name.partition(".")[0]
        for node in within
        if isinstance(node.op, Window) and max(node.op.kernel_size) > 1
    }
    rows: dict[int, tuple[str, str]] = {}  # pixels → (path of the module, node)
    for node in joints(graph):
        path = _path(node.name, names)
        is_module = path != node.name or node.op.arity == 1
        is_map = node.name in inside and len(shapes[node.name]) == 4
        if is_map and strides[node.name] > 1 and is_module:
            rows[strides[node.name]] = (path, node.name)
    for scope in sorted(ends, key=lambda scope: scope in looking):
        if len(shapes[ends[scope]]) == 4:
            rows[strides[ends[scope]]] = (scope, ends[scope])
    return FeatureInfo(
        {"num_chs": shapes[node][1], "reduction": reduction, "module": path}
        for reduction, (path, node) in sorted(rows.items())
    )


def _path(node: str, names: list[str]) -> str:
    """Return the outermost scope that ends in a node, or the node."""
    parts = node.split(".")
    scopes = [".".join(parts[:depth]) for depth in range(1, len(parts))]
    ending = [s for s in scopes if [n for n in names if n.startswith(f"{s}.")][-1] == node]
    return ending[0] if ending else node


def _strides(graph: Graph) -> Mapping[str, int]:
    """Return for each value how many pixels of the image are one of its own."""
    strides, shapes = {INPUT: 1}, graph.shapes()
    for node in graph.nodes:
        own = node.op.stride[0] if isinstance(node.op, Window) else 1
        strides[node.name] = own * max((strides[name] for name in node.inputs), default=1)
        if isinstance(node.op, Upsample):
            (read,) = node.inputs
            larger = shapes[node.name][2] / shapes[read][2]
            strides[node.name] = max(1, round(strides[read] / larger))
    return strides
