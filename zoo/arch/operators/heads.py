"""What stands between the last feature map and the classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo.arch.operator import Operator, Shape, Traits, require, require_map


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAvgPool2d(Operator):
    """Mean over height and width. (N, C, H, W) -> (N, C, 1, 1)."""

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        return (*inputs[0][:2], 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Operator):
    """(N, C, H, W) -> (N, C * H * W)."""

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="view",
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], math.prod(inputs[0][1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Operator):
    """In training, zero each value with probability ``p`` and scale the rest by 1 / (1 - p)."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="view",
    )

    p: float

    def __post_init__(self) -> None:
        require(0 <= self.p < 1, f"p (={self.p}) must be in [0, 1)")
