"""What reading a node of ONNX is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto

from backends.onnx.adopt_fold import Known
from zoo.adoption.program import UnknownError


@dataclass(frozen=True)
class Step:
    """A call, as `zoo.adoption.program.Call` without its place.

    Attributes:
        shape: of its result, for so many images as shapes are inferred for; None for that of the
            value that is called like it.
    """

    output: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class At:
    """A node that is read, with its attributes and what is known of values."""

    node: NodeProto
    values: dict[str, Any]
    known: Known
    opset: int

    @property
    def kind(self) -> str:
        """The operator."""
        return str(self.node.op_type)

    def unfit(self, what: str) -> UnknownError:
        """Return what is raised of a node that cannot be read."""
        return UnknownError(f"{self.kind}: {what}")

    def has(self, i: int) -> bool:
        """Return whether an input is given."""
        return len(self.node.input) > i and bool(self.node.input[i])

    def constant(self, i: int, what: str) -> np.ndarray:
        """Return an input, which must be constant."""
        return self.known.constant(self.node.input[i], f"{self.kind}: {what}")

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is text."""
        return str(self.values.get(name, default.encode()).decode())

    def whole(self, i: int, name: str) -> list[int] | None:
        """Return whole numbers, an input in newer opsets and an attribute before."""
        if self.has(i):
            return [int(n) for n in self.constant(i, name).ravel()]
        return list(self.values[name]) if name in self.values else None

    def pair(self, name: str, default: Any = (1, 1)) -> tuple[int, int]:
        """Return an attribute of height and width."""
        value = self.values.get(name, default)
        if len(value) != 2:
            raise UnknownError(f"a window of {len(value)} dimensions must have 2")
        return (int(value[0]), int(value[1]))

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Return the shape of an input."""
        name = self.node.input[i]
        if name not in self.known.shapes:
            raise self.unfit(f"the shape of {name} is not known")
        return self.known.shapes[name]

    def held(self, *roles: str, start: int = 1) -> dict[str, str]:
        """Return the arrays that are its inputs from one on, by their roles."""
        found = {role: i for i, role in enumerate(roles, start) if self.has(i)}
        for role, i in found.items():
            self.constant(i, f"the {role}")
        return {role: self.node.input[i] for role, i in found.items()}

    def step(self, kind: str, *inputs: str, held: Any = None, **options: Any) -> Step:
        """Return the call that the node is, of its first input unless others are named."""
        return Step(
            self.node.output[0], kind, inputs or (self.node.input[0],), options, held or {}
        )  # fmt: skip

    def part(self, end: str, shape: tuple[int, ...], kind: str, *inputs: str, **more: Any) -> Step:
        """Return a call that the node needs before its own."""
        return Step(f"{self.node.output[0]}{end}", kind, inputs, more, {}, shape)


Read = Callable[[At], list[Step]]
"""From a node to calls."""


def plain(kind: str, **options: Any) -> Read:
    """Return the reader of a node that is a function of its first input."""
    return lambda at: [at.step(kind, **options)]
