"""Calls as text, laid out as formatters of Python do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WIDTH = 88
"""Of a line: what ruff and black have by default."""


@dataclass(frozen=True, slots=True)
class Call:
    """``name(a, key=b)``; brackets of another kind make a list or a tuple."""

    name: str
    arguments: tuple[tuple[str | None, Text], ...]
    brackets: str = "()"


Text = str | Call
"""An expression: text that is not broken, or a call that may be."""


def call(name: str, *arguments: Text, **keywords: Text) -> Call:
    """Return a call."""
    return Call(name, (*((None, a) for a in arguments), *keywords.items()))


class Name(str):
    """A value that is a name in the code: a class."""

    __slots__ = ()


def literal(value: Any) -> str:
    """Return the text of a number, bool, string, tuple or `Name`."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100_000:
        return f"{value:_}"
    return repr(value)


def flat(text: Text) -> str:
    """Return an expression on one line."""
    if isinstance(text, str):
        return text
    inner = ", ".join((f"{k}=" if k else "") + flat(a) for k, a in text.arguments)
    return f"{text.name}{text.brackets[0]}{inner}{text.brackets[1]}"


def lay(prefix: str, text: Text, suffix: str = "", indent: int = 0) -> Iterator[str]:
    """Yield the lines of an expression between two texts, broken where it is too long."""
    line = " " * indent + prefix + flat(text) + suffix
    if len(line) <= WIDTH or isinstance(text, str) or not text.arguments:
        yield line
        return
    yield " " * indent + prefix + text.name + text.brackets[0]
    inner = " " * (indent + 4) + flat(Call("", text.arguments))[1:-1]
    if len(inner) <= WIDTH and (len(text.arguments) > 1 or isinstance(text.arguments[0][1], str)):
        yield inner
        yield " " * indent + text.brackets[1] + suffix
        return
    for keyword, argument in text.arguments:
        yield from lay(f"{keyword}=" if keyword else "", argument, ",", indent + 4)
    yield " " * indent + text.brackets[1] + suffix
