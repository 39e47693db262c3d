"""What stands between the last feature map and the classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

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
class AdaptiveAvgPool2d(Operator):
    """Means of as many cells as are asked for. (N, C, H, W) -> (N, C, *output_size).

    Cell i of n along a side of length L reaches from floor(i L / n) to ceil((i + 1) L / n), as in
    ``torch.nn.AdaptiveAvgPool2d``: cells overlap where L is no multiple of n.
    """

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    output_size: tuple[int, int]

    def __post_init__(self) -> None:
        require(min(self.output_size) >= 1, f"output_size (={self.output_size}) must be at least 1")

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        return (*inputs[0][:2], *self.output_size)

    def cells(self, shape: Shape) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (start, stop) of each cell along the height and the width of an input."""
        rows, columns = (
            [(i * length // n, -(-(i + 1) * length // n)) for i in range(n)]
            for length, n in zip(shape[2:], self.output_size, strict=True)
        )
        return rows, columns


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
    """In training, zero each value with probability ``p`` and scale the rest by 1 / (1 - p).

    ``of="image"`` zeroes all values of an image or none: what a residual's branch makes, which is
    stochastic depth (arXiv:1603.09382; ``torchvision.ops.StochasticDepth(p, "row")``);
    ``of="channel"`` those of a channel of an image, as ``nn.Dropout2d`` (arXiv:1411.4280).
    """

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
    of: Literal["value", "channel", "image"] = "value"

    def __post_init__(self) -> None:
        require(0 <= self.p < 1, f"p (={self.p}) must be in [0, 1)")
