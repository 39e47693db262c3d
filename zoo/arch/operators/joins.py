"""What joins two values of the same channels; `Concat` is among the moves of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.operator import Operator, Shape, Traits, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Operator):
    """Sum of two values, broadcast as NumPy does: a position embedding is every image's."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=True,
        result="own",
    )

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast(*inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Operator):
    """Product of two values, broadcast as NumPy does: a gate per channel is (N, C, 1, 1)."""

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        return broadcast(*inputs)


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of values of these shapes side by side, by NumPy's rules.

    Raises:
        GraphError: they do not fit.
    """
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    made = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    require(
        all(n in (1, m) for shape in padded for n, m in zip(shape, made, strict=True)),
        f"the inputs must have one shape, but for axes of 1 (shapes {list(shapes)})",
    )
    return made
