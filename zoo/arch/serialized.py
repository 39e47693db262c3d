"""Graphs as JSON and back: for networks that no spec of a family describes.

Such text may come from strangers: sizes are bounded before anything is made of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo.arch import operators
from zoo.arch.graph import Graph, Node
from zoo.arch.later import stated
from zoo.arch.operator import Operator
from zoo.errors import GraphError, unknown
from zoo.text import TextError, texts, whole

VERSION = 1
MAX_NODES = 20_000
MAX_NUMBER = 1 << 20
"""Of channels, sizes and whatever else an operator has."""

KINDS: dict[str, type[Operator]] = {
    name: kind
    for name, kind in vars(operators).items()
    if isinstance(kind, type) and issubclass(kind, Operator) and hasattr(kind, "traits")
}
"""The operators by name."""


def to_fields(graph: Graph) -> dict[str, Any]:
    """Return a graph as JSON holds it: each node as name, operator, its values, what it reads."""
    return {
        "version": VERSION,
        "in_channels": graph.in_channels,
        "image_size": list(graph.image_size),
        "nodes": [
            [node.name, type(node.op).__name__, stated(node.op), list(node.inputs)]
            for node in graph.nodes
        ],
        "outputs": list(graph.outputs),
        "as_tuple": graph.as_tuple,
    }


def from_fields(fields: Any) -> Graph:
    """Return the graph that `to_fields` told.

    Raises:
        GraphError, UnknownNameError: it is no such thing, or larger than any network.
    """
    try:
        return _graph(fields)
    except (TextError, TypeError, KeyError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"not the JSON of a graph: {error}") from None


def _graph(fields: Any) -> Graph:
    if not isinstance(fields, dict):
        raise TextError(f"it must be a JSON object, not {type(fields).__name__}")
    if fields.get("version") != VERSION:
        raise GraphError(f"version (={fields.get('version')!r}) of the graph must be {VERSION}")
    rows = fields["nodes"]
    if not isinstance(rows, list) or len(rows) > MAX_NODES:
        raise TextError(f"nodes must be a list of at most {MAX_NODES}")
    size = tuple(_number("image_size", n) for n in fields["image_size"])
    if len(size) != 2:
        raise TextError("image_size must be height and width")
    channels = _number("in_channels", whole(fields, "in_channels", 1))
    outputs = tuple(texts(fields, "outputs"))
    as_tuple = fields.get("as_tuple", False) is True
    return Graph(channels, (size[0], size[1]), tuple(map(_node, rows)), outputs, as_tuple)


def _node(row: Any) -> Node:
    if not isinstance(row, list) or len(row) != 4:
        raise TextError("a node must be a list of name, operator, values and inputs")
    name, kind, values, inputs = row
    if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(values, dict):
        raise TextError("a node must have a name, an operator and its values")
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise TextError(f"{name}: inputs must be a list of names")
    if kind not in KINDS:
        raise unknown("operator", kind, KINDS)
    known = {field.name for field in dataclasses.fields(KINDS[kind])}
    if set(values) - known:
        raise unknown(f"value of {kind}", sorted(set(values) - known)[0], known)
    try:
        op = KINDS[kind](**{key: _value(f"{name}: {key}", v) for key, v in values.items()})
    except GraphError as error:
        raise GraphError(f"{name}: {error}") from None
    return Node(name, op, tuple(inputs))


def _value(what: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(what, v) for v in value)
    if value is None or isinstance(value, str | bool):
        return value
    return _number(what, value)


def _number(what: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TextError(f"{what} (={value!r}) must be a number")
    if not -MAX_NUMBER <= value <= MAX_NUMBER:  # which NaN is not either
        raise TextError(f"{what} (={value!r}) must be from -{MAX_NUMBER} to {MAX_NUMBER}")
    return value
