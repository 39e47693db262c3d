"""What joins two values of the same channels; `Concat` is among the moves of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.operator import Operator, Shape, Traits, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Operator):
    """Sum of two values of one shape."""

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
        require(inputs[0] == inputs[1], f"the inputs must have one shape (shapes {list(inputs)})")
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Operator):
    """A feature map times a value of its shape, or one gate per channel (N, C, 1, 1)."""

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
        first, second = inputs
        require(
            second in (first, (*first[:2], 1, 1)),
            f"the second input must match the first or be (N, C, 1, 1) (shapes {list(inputs)})",
        )
        return first
