"""What a call is spelled out in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from zoo.adoption.program import Call
from zoo.arch import Shape


class Spelling:
    """The calls that one is spelled out in, one after the other.

    Attributes:
        calls: so far.
    """

    def __init__(self, call: Call, shapes: dict[str, Shape], images: dict[str, int]) -> None:
        self.call, self.shapes, self.images = call, shapes, images
        self.calls: list[Call] = []

    def add(self, kind: str, inputs: Sequence[str], shape: Shape, **options: Any) -> str:
        """Add a call, and return the name of what it makes."""
        name = f"{self.call.name}_{kind}_{len(self.calls)}"
        held = options.pop("held", {})
        of_images = kind == "expand" or any(self.images[x] >= 0 for x in inputs)
        axis = options.pop("images", self.call.images)
        self.images[name] = axis if of_images else -1
        made = replace(self.call, name=name, kind=kind, inputs=tuple(inputs), shape=tuple(shape),
                       options=options, held=held, images=self.images[name])  # fmt: skip
        self.calls.append(made)
        return name

    def indexed(self, x: str, shape: Shape, dim: int, indices: Sequence[int]) -> tuple[str, Shape]:
        """Add the places of an axis, and return what it makes and its shape."""
        made = (*shape[:dim], len(indices), *shape[dim + 1 :])
        return self.add("index", [x], made, dim=dim, indices=tuple(indices)), made


Speller = Callable[[Call, Spelling], str | None]
"""Adds the calls, and returns the value that they end in; None of what it cannot spell."""
