"""The operators without a window: normalisation, activations, channels, joins, the head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.arch.operator import (
    Operator,
    Parameter,
    Shape,
    Traits,
    require,
    require_channels,
    require_divisible,
    require_map,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm2d(Operator):
    """Batch normalisation (arXiv:1502.03167), as ``torch.nn.BatchNorm2d``; shape kept.

    ``momentum`` is PyTorch's: running = (1 - momentum) * running + momentum * batch, with the
    unbiased batch variance. MindSpore's momentum is one minus it.
    """

    traits = Traits(
        elementwise=False, channels="each", sign="free", kinks=(), overwrites=False, result="own"
    )

    num_features: int
    eps: float
    momentum: float

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("num_features", self.num_features, inputs[0])
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.num_features,)
        return {
            "weight": Parameter(shape, init="ones"),
            "bias": Parameter(shape),
            "running_mean": Parameter(shape, trainable=False),
            "running_var": Parameter(shape, trainable=False, init="ones"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReLU(Operator):
    """max(x, 0); shape kept. The gradient at 0 is 0."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(0,),
        overwrites=True,
        result="saved",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSwish(Operator):
    """x * min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv:1905.02244); shape kept.

    The gradient has steps of 1/2 at -3 and 3. At these very points it is the framework's own:
    PyTorch takes that of the outside (0 and 1), MindSpore that of the inside (-1/2 and 3/2).
    """

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="kept",
        kinks=(-3, 3),
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(Operator):
    """min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv:1905.02244); shape kept.

    The gradient has steps of 1/6 at -3 and 3, where it is 0.
    """

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(-3, 3),
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(Operator):
    """1 / (1 + exp(-x)); shape kept."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(),
        overwrites=False,
        result="saved",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Operator):
    """In training, zero each value with probability ``p`` and scale the rest by 1 / (1 - p)."""

    traits = Traits(
        elementwise=True, channels="each", sign="kept", kinks=(), overwrites=False, result="view"
    )

    p: float

    def __post_init__(self) -> None:
        require(0 <= self.p < 1, f"p (={self.p}) must be in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAvgPool2d(Operator):
    """Mean over height and width. (N, C, H, W) -> (N, C, 1, 1)."""

    traits = Traits(
        elementwise=False, channels="each", sign="kept", kinks=(), overwrites=False, result="own"
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        return (*inputs[0][:2], 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShuffle(Operator):
    """Interleave channel groups (ShuffleNet, arXiv:1707.01083); shape kept.

    The published networks mean two different permutations by it. ``"gn"`` is the paper's: view the
    channels as (groups, C / groups) and transpose. ``"ng"`` views them as (C / groups, groups).
    """

    traits = Traits(
        elementwise=False, channels="moved", sign="kept", kinks=(), overwrites=False, result="view"
    )

    groups: int
    order: Literal["gn", "ng"]

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_divisible("channels", inputs[0][1], self.groups)
        return inputs[0]

    def rows(self, channels: int) -> int:
        """Return r such that the shuffle is: view as (r, C / r), transpose, flatten."""
        return self.groups if self.order == "gn" else channels // self.groups

    def indices(self, channels: int) -> tuple[int, ...]:
        """Return the input channel that each output channel reads."""
        rows = self.rows(channels)
        columns = channels // rows
        return tuple(row * columns + column for column in range(columns) for row in range(rows))

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return self.indices(sizes[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPermute(Operator):
    """Output channel i is input channel ``indices[i]``; shape kept."""

    traits = Traits(
        elementwise=False, channels="moved", sign="kept", kinks=(), overwrites=False, result="own"
    )

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            sorted(self.indices) == list(range(len(self.indices))),
            f"indices must be a permutation of 0..{len(self.indices) - 1}",
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_channels("the number of indices", len(self.indices), inputs[0])
        return inputs[0]

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return self.indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Operator):
    """Channels ``start`` to ``stop`` (exclusive). (N, C, …) -> (N, stop - start, …)."""

    traits = Traits(
        elementwise=False, channels="moved", sign="kept", kinks=(), overwrites=False, result="view"
    )

    start: int
    stop: int

    def output_shape(self, *inputs: Shape) -> Shape:
        channels = inputs[0][1]
        require(
            0 <= self.start < self.stop <= channels,
            f"start (={self.start}) and stop (={self.stop}) must select some of the "
            f"{channels} channels",
        )
        return (inputs[0][0], self.stop - self.start, *inputs[0][2:])

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Operator):
    """Join along the channels, in the order of the inputs."""

    traits = Traits(
        elementwise=False, channels="moved", sign="kept", kinks=(), overwrites=False, result="own"
    )

    arity: ClassVar[int | None] = None

    def output_shape(self, *inputs: Shape) -> Shape:
        first = inputs[0]
        require(
            all((s[0], *s[2:]) == (first[0], *first[2:]) for s in inputs),
            f"the inputs must differ in their channels only (shapes {list(inputs)})",
        )
        return (first[0], sum(s[1] for s in inputs), *first[2:])

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return range(sum(sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Operator):
    """Sum of two values of one shape."""

    traits = Traits(
        elementwise=True, channels="each", sign="kept", kinks=(), overwrites=True, result="own"
    )

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        require(inputs[0] == inputs[1], f"the inputs must have one shape (shapes {list(inputs)})")
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Operator):
    """A feature map times a value of its shape, or one gate per channel (N, C, 1, 1)."""

    traits = Traits(
        elementwise=False, channels="each", sign="kept", kinks=(), overwrites=False, result="own"
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
        elementwise=False, channels="each", sign="kept", kinks=(), overwrites=False, result="view"
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], math.prod(inputs[0][1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Operator):
    """x @ weight.T + bias, as ``torch.nn.Linear``. (N, in_features) -> (N, out_features)."""

    traits = Traits(
        elementwise=False, channels="mixed", sign="free", kinks=(), overwrites=False, result="own"
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
