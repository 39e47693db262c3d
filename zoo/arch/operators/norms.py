"""Normalizations of each image by itself, with no memory of a batch: training computes the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.arch.later import LATER
from zoo.arch.operator import (
    Operator,
    Parameter,
    Shape,
    Traits,
    require,
    require_channels,
    require_divisible,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(Operator):
    """Layer normalization (arXiv:1607.06450) over the last axes; shape kept.

    As ``torch.nn.LayerNorm``: (x - mean) / sqrt(variance + eps), the variance biased, then times
    ``weight`` plus ``bias`` where it is ``affine``. ``initial_weight`` is what the scale starts
    from: 1, or less (`zoo.arch.damped`).
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    normalized_shape: tuple[int, ...]
    eps: float
    affine: bool
    initial_weight: float = field(default=1.0, compare=False, metadata=LATER)

    def __post_init__(self) -> None:
        shape = self.normalized_shape
        require(bool(shape) and min(shape) >= 1, f"normalized_shape (={shape}) must be positive")
        require(self.eps >= 0, f"eps (={self.eps}) must not be negative")

    def output_shape(self, *inputs: Shape) -> Shape:
        count = len(self.normalized_shape)
        require(
            len(inputs[0]) > count and inputs[0][-count:] == self.normalized_shape,
            f"normalized_shape (={self.normalized_shape}) must be the last axes of its input, "
            f"behind the images (shape {inputs[0]})",
        )
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        if not self.affine:
            return {}
        shape = self.normalized_shape
        scale = self.initial_weight
        return {"weight": Parameter(shape, init="ones", scale=scale), "bias": Parameter(shape)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNorm(Operator):
    """Group normalization (arXiv:1803.08494), as ``torch.nn.GroupNorm``; shape kept.

    Mean and biased variance are of ``num_channels / num_groups`` channels and all their pixels.
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    num_groups: int
    num_channels: int
    eps: float

    def __post_init__(self) -> None:
        require_divisible("num_channels", self.num_channels, self.num_groups)
        require(self.eps >= 0, f"eps (={self.eps}) must not be negative")

    def output_shape(self, *inputs: Shape) -> Shape:
        require_channels("num_channels", self.num_channels, inputs[0])
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.num_channels,)
        return {"weight": Parameter(shape, init="ones"), "bias": Parameter(shape)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize(Operator):
    """x / max(sqrt(sum of squares along an axis), eps), as ``F.normalize``; shape kept.

    Cosine attention of Swin V2 (arXiv:2111.09883).
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    dim: int
    eps: float

    def __post_init__(self) -> None:
        require(self.dim >= 1, f"dim (={self.dim}) must be at least 1: axis 0 are the images")
        require(self.eps > 0 and math.isfinite(self.eps), f"eps (={self.eps}) must be positive")

    @property
    def mixes_channels(self) -> bool:
        return self.dim == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(self.dim, inputs[0])
        return inputs[0]


def require_axis(dim: int, shape: Shape) -> None:
    """Raise unless a shape has the axis."""
    require(dim < len(shape), f"dim (={dim}) must be an axis of its input (shape {shape})")
