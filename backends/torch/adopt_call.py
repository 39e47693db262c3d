"""What reading a call of ATen is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from zoo.adoption import program

Node = torch.fx.Node
UnknownError = program.UnknownError
Options = dict[str, Any]
Read = Callable[[Options], tuple[str, Options]]
"""From all arguments of a call, by name, to the program's function and its options."""


def value_of(node: Node) -> Any:
    """Return what the recording knows of a result: a fake tensor, a size, or several."""
    return node.meta.get("val")


def arguments(node: Node) -> Options:
    """Return all arguments of a call by name, defaults included."""
    target: Any = node.target
    schema = target._schema.arguments
    found = {a.name: a.default_value for a in schema if a.has_default_value()}
    found |= {a.name: value for a, value in zip(schema, node.args, strict=False)}
    found |= node.kwargs
    return {a.name: found[a.name] for a in schema if a.name in found}


def pair(value: Any) -> tuple[int, int]:
    """Return a number, or two, for height and width."""
    numbers = [value] if isinstance(value, int) else list(value)
    return (numbers[0], numbers[-1])


def renamed(kind: str, **names: Callable[[Any], Any]) -> Read:
    """Return the reader of a function that has another name, with these options."""
    return lambda values: (kind, {name: read(values[name]) for name, read in names.items()})


def same(value: Any) -> Any:
    """Return an option as it is."""
    return value


def line_of(node: Node) -> str:
    """Return the last line of the user's code, or of a library's, that a call was made in."""
    trace = [line.strip() for line in (node.stack_trace or "").splitlines() if "File " in line]
    if not trace:
        return ""
    parts = trace[-1].split('"')
    return f"{parts[1].rpartition('/')[2]}:{parts[2].split('line ')[1].split(',')[0]}"
