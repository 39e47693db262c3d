"""What a rule is, and what rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.adoption.program import Call
from zoo.arch import Operator, Shape

Held = Mapping[str, Shape]
"""The shapes of what a call holds, by role."""

Rule = Callable[[Call, list[Shape], Held], list[Operator]]
"""From a call, the shapes that it reads and those of what it holds, to its operators."""


class UnfitError(ValueError):
    """What a call does is no operator."""


def expect(call: Call, **wanted: Any) -> None:
    """Raise `UnfitError` unless the options have these values."""
    for name, value in wanted.items():
        found = call.options.get(name, value)
        if found != value:
            raise UnfitError(f"{call.kind}: {name} (={found}) must be {value}")


def require_map(call: Call, shape: Shape) -> None:
    """Raise `UnfitError` unless a call reads a feature map."""
    if len(shape) != 4:
        raise UnfitError(f"{call.kind}: its input must be a feature map NCHW (shape {shape})")


def plain(make: type[Operator], *options: str, **values: Any) -> Rule:
    """Return the rule of an operator whose fields are options of the call, or these values."""
    return lambda call, read, held: [
        make(**{name: call.options[name] for name in options}, **values)
    ]


def sides(padding: Any) -> Any:
    """Return the padding of the four sides, of a pair, of four, or where the image tells it."""
    return padding if padding == "SAME_UPPER" or len(padding) == 4 else (*padding, *padding)
