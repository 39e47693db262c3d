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
        images: the axis that they are on; -1 if it does not depend on them.
    """

    name: str
    shape: tuple[int, ...]
    source: Value | None = None
    scope: str | None = None
    images: int = 0

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
    def whole(self) -> tuple[int, ...]:
        """The shape of what it makes (the first of several), as the file has it."""
        shape = self.node.shape
        shape = shape[0] if shape and isinstance(shape[0], tuple) else shape
        if not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
            raise UnknownError(f"{self.node.kind}: what it makes is no tensor")
        return shape

    def one(self, images: int) -> tuple[int, ...]:
        """Return that shape for one image, by the axis that the images are on."""
        shape, rows = list(self.whole), self.reader.rows
        if images >= 0 and shape[images] < 0:  # open
            shape[images] = 1
        elif images >= 0 and rows > 0:
            if shape[images] % rows:
                raise UnknownError(f"{self.node.kind}: makes {self.whole}, which mixes the images")
            shape[images] //= rows
        if any(n < 1 for n in shape):
            raise UnknownError(f"its shape (={shape}) must be fixed: export it with a size")
        return tuple(shape)

    def __getitem__(self, i: int) -> Any:
        if i >= len(self.args):
            raise UnknownError(f"{self.node.kind}: inputs (={len(self.args)}) must be more")
        if self.args[i] is LOST:
            raise LostError
        return self.args[i]

    def tensor(self, i: int = 0) -> Value:
        """Return an input; a parameter, or a constant, as a value."""
        return self.value(self[i])

    def value(self, value: Any) -> Value:
        """Return a tensor; a parameter, or a constant, as a value."""
        if isinstance(value, Value):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
            value = self.reader.constant(value, self.scope)
        if not isinstance(value, Held):
            raise UnknownError(f"{self.node.kind}: reads what is no tensor")
        weights: dict[str, Value] = self.reader.weights
        if value.name not in weights:
            weights[value.name] = replace(self, name=f"{value.name}:value").emit(
                "weight", shape=value.shape, images=-1, held={"weight": value.name},
                trainable=self.reader.is_trained(value.name),
            )  # fmt: skip
        return weights[value.name]

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
        images: int | None = None,
        held: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Value:
        """Make a call; return its result.

        Args:
            kind: the function.
            *inputs: what it reads.
            shape: of its result, for one image; by default the node's.
            images: the axis that they are on; by default that of the first input that has them.
            held: role → parameter.
            **options: the other arguments.
        """
        if images is None:
            images = next((value.images for value in inputs if value.images >= 0), -1)
        shape = self.one(images) if shape is None else shape
        names = tuple(value.name for value in inputs)
        known = next((value.scope for value in inputs if value.scope is not None), None)
        scope = self.scope if held or self.reader.live else self._scope(kind, names)
        call = Call(self.name, kind, names, shape, scope, options, held or {}, images=images)
        made: Value = self.reader.add(call)
        return replace(made, scope=known)

    def _scope(self, kind: str, inputs: tuple[str, ...]) -> str:
        """Return where a function is called: not always where the file says.

        MindSpore reads a function once, for the first Cell that calls it. Later ones are taken to
        be as deep in the tree as that, where the value comes from that is read.
        """
        places: set[tuple[str, str]] = self.reader.places
        first = (kind, self.scope) not in places
        places.add((kind, self.scope))
        before: Call | None = self.reader.made.get(inputs[-1]) if inputs else None
        if first or before is None or not self.scope:
            return self.scope
        owner = next((name.rpartition(".")[0] for name in before.held.values()), before.scope)
        parts, depth = owner.split("."), self.scope.count(".") + 1
        return ".".join(parts[:depth]) if len(parts) > depth else self.scope

    def view(self, x: Value, whole: tuple[int, ...]) -> Value:
        """Return a tensor in another shape, as the file has it: views of views are of the first."""
        root, images = replace(x.root, scope=x.scope), -1
        rows = max(self.reader.rows, 1)
        if root.images >= 0:
            before = math.prod(root.shape[: root.images])
            found = (
                i for i, n in enumerate(whole)
                if math.prod(whole[:i]) == before and (n < 0 or n % rows == 0)
            )  # fmt: skip
            images = next(found, -1)
            if images < 0:
                raise UnknownError(f"{self.node.kind}: makes {whole}, which mixes the images")
            whole = (*whole[:images], max(whole[images] // rows, 1), *whole[images + 1 :])
        return self.viewed(x, whole, images)

    def viewed(self, x: Value, shape: tuple[int, ...], images: int) -> Value:
        """Return a tensor in another shape for one image, with the images on an axis."""
        root = replace(x.root, scope=x.scope)
        if math.prod(root.shape) != math.prod(shape):
            raise UnknownError(f"{self.node.kind}: shape {root.shape} cannot be {shape}")
        if root.shape == shape and root.images == images:
            return root
        flat = len(shape) == 2 < len(root.shape) and shape[0] == 1 and images == 0
        made = self.emit("flatten" if flat else "reshape", root, shape=shape, images=images)
        return replace(made, source=root)
