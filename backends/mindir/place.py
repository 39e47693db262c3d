"""A node of a MINDIR file with the values that it reads, and the calls that it becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backends.mindir.proto import Node
from zoo.adoption.program import Call

LOST: Any = object()
"""The value of what could not be read."""


class UnknownError(ValueError):
    """What a node does is not known here."""


class LostError(ValueError):
    """A node reads what could not be read."""


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the images.

    Attributes:
        name: of it.
        shape: of it, for one image.
        source: the tensor that it is another view of.
        scope: of the Cell that it is in, where that is known.
    """

    name: str
    shape: tuple[int, ...]
    source: Value | None = None
    scope: str | None = None

    @property
    def root(self) -> Value:
        """What it is a view of, or itself."""
        return self.source or self


@dataclass(frozen=True)
class Held:
    """A parameter."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class At:
    """A node at its place, with the values that it reads."""

    reader: Any  # the `Reader`
    node: Node
    args: list[Any]
    name: str
    scope: str

    @property
    def options(self) -> Mapping[str, Any]:
        return self.node.options

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes (the first of several), for one image."""
        shape = self.node.shape
        found: tuple[int, ...] = self.reader.one(
            shape[0] if shape and isinstance(shape[0], tuple) else shape
        )
        return found

    def __getitem__(self, i: int) -> Any:
        if i >= len(self.args):
            raise UnknownError(f"{self.node.kind}: inputs (={len(self.args)}) must be more")
        if self.args[i] is LOST:
            raise LostError
        return self.args[i]

    def tensor(self, i: int = 0) -> Value:
        """Return an input that depends on the images."""
        value = self[i]
        if not isinstance(value, Value):
            raise UnknownError(f"{self.node.kind}: input {i} must depend on the images")
        return value

    def held(self, i: int, what: str, rank: int | None = None) -> str:
        """Return the name of a parameter."""
        value = self[i]
        if not isinstance(value, Held):
            raise UnknownError(f"{self.node.kind}: its {what} must be a parameter")
        if rank is not None and len(value.shape) != rank:
            raise UnknownError(f"{self.node.kind}: its {what} of shape {value.shape}")
        return value.name

    def fixed(self, i: int, name: str, default: Any = None) -> Any:
        """Return an argument that is a constant input, or an option in older files."""
        value = self[i] if i < len(self.args) else self.options.get(name, default)
        if isinstance(value, Value | Held):
            raise UnknownError(f"{self.node.kind}: {name} must be constant")
        return value.tolist() if isinstance(value, np.ndarray) else value

    def numbers(self, i: int, name: str, default: Any = None) -> tuple[int, ...]:
        """Return an argument of one integer or several."""
        value = self.fixed(i, name, default)
        found = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(n, int) for n in found):
            raise UnknownError(f"{self.node.kind}: {name} (={value}) must be integers")
        return tuple(found)

    def pair(self, i: int, name: str, default: Any = None) -> tuple[int, int]:
        """Return an argument of height and width, which are the last of its numbers."""
        found = self.numbers(i, name, default)
        if not 1 <= len(found) <= 5 or min(found) < 0:
            raise UnknownError(f"{self.node.kind}: {name} (={found}) must be of height and width")
        return found[-2:] if len(found) > 1 else (found[0], found[0])  # type: ignore[return-value]

    def number(self, i: int, name: str) -> float:
        """Return an argument that is a float, as its decimal digits say it."""
        value = self.fixed(i, name)
        if not isinstance(value, int | float):
            raise UnknownError(f"{self.node.kind}: {name} (={value}) must be a number")
        return float(np.float32(value).astype(str))

    def emit(
        self,
        kind: str,
        *inputs: Value,
        shape: tuple[int, ...] | None = None,
        held: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Value:
        """Make a call; return its result."""
        shape = self.shape if shape is None else shape
        names = tuple(value.name for value in inputs)
        known = next((value.scope for value in inputs if value.scope is not None), None)
        call = Call(self.name, kind, names, shape, self.scope, options, held or {})
        made: Value = self.reader.add(call)
        return replace(made, scope=known)

    def view(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Return a tensor in another shape: views of views are of the first."""
        root = replace(x.root, scope=x.scope)
        if math.prod(root.shape) != math.prod(shape):
            raise UnknownError(f"{self.node.kind}: shape {root.shape} cannot be {shape}")
        if root.shape == shape:
            return root
        kind = "flatten" if len(shape) == 2 < len(root.shape) and shape[0] == 1 else "reshape"
        return replace(self.emit(kind, root, shape=shape), source=root)
