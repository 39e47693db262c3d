"""The operators without a window. Activations and moves of channels are in files of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.activations import (
    HardSigmoid,
    HardSwish,
    ReLU,
    ReLU6,
    Sigmoid,
)
from zoo.arch.moves import (
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Slice,
)
from zoo.arch.operator import (
    Operator,
    Parameter,
    Shape,
    Traits,
    require,
    require_channels,
    require_map,
)

__all__ = [
    "Add",
    "BatchNorm2d",
    "ChannelPermute",
    "ChannelShuffle",
    "Concat",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "HardSigmoid",
    "HardSwish",
    "Linear",
    "Mul",
    "ReLU",
    "ReLU6",
    "Sigmoid",
    "Slice",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm2d(Operator):
    """Batch normalisation (arXiv:1502.03167), as ``torch.nn.BatchNorm2d``; shape kept.

    ``momentum`` is PyTorch's: running = (1 - momentum) * running + momentum * batch, with the
    unbiased batch variance. MindSpore's momentum is one minus it.

    ``initial_weight`` is what the scale starts from: 1, or less at the end of a residual's branch.
    """

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    num_features: int
    eps: float
    momentum: float
    initial_weight: float = 1.0

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("num_features", self.num_features, inputs[0])
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.num_features,)
        return {
            "weight": Parameter(shape, init="ones", scale=self.initial_weight),
            "bias": Parameter(shape),
            "running_mean": Parameter(shape, trainable=False),
            "running_var": Parameter(shape, trainable=False, init="ones"),
        }


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
class Linear(Operator):
    """x @ weight.T + bias, as ``torch.nn.Linear``. (N, in_features) -> (N, out_features)."""

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    in_features: int
    out_features: int
    bias: bool

    def output_shape(self, *inputs: Shape) -> Shape:
        require(len(inputs[0]) == 2, f"the input must be flat (shape {inputs[0]})")
        require_channels("in_features", self.in_features, inputs[0])
        return (inputs[0][0], self.out_features)

    def parameters(self) -> Mapping[str, Parameter]:
        weight = Parameter(
            (self.out_features, self.in_features), init="fan_in_uniform", fan_in=self.in_features
        )
        if not self.bias:
            return {"weight": weight}
        return {"weight": weight, "bias": Parameter((self.out_features,))}

    def macs(self, output: Shape) -> int:
        return output[0] * self.out_features * self.in_features
