"""Operators that slide a window over a feature map: convolution and the two pools.

Padding is ``(top, left, bottom, right)``, ONNX's order since PyTorch has no spelling for padding
per side, or ``"SAME_UPPER"`` (ONNX's and TensorFlow's rule, MindSpore's ``pad_mode="same"``): as
much as makes the output ceil(size / stride), the odd pixel at the bottom and right. How much that
is depends on the size of the input, so it stays a rule in the graph and each backend resolves it.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
Padding = Sides | Literal["SAME_UPPER"]


def sides(padding: Padding, size: Pair, kernel_size: Pair, stride: Pair) -> Sides:
    """Return the padding (top, left, bottom, right) for an input of this height and width."""
    if padding != "SAME_UPPER":
        return padding
    before, after = [], []
    for n, k, s in zip(size, kernel_size, stride, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return (before[0], before[1], after[0], after[1])


def symmetric(padding: Padding) -> Pair | None:
    """Return (height, width) padding when both sides are alike, as the frameworks spell it."""
    if padding == "SAME_UPPER" or padding[:2] != padding[2:]:
        return None
    return padding[:2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Operator, ABC):
    """A window of ``kernel_size`` moved by ``stride`` over a padded map."""

    kernel_size: Pair
    stride: Pair
    padding: Padding

    def _spatial(self, shape: Shape, dilation: Pair = (1, 1)) -> Shape:
        require_map(shape)
        reach = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, dilation, strict=True))
        top, left, bottom, right = sides(
            self.padding, (shape[2], shape[3]), (reach[0], reach[1]), self.stride
        )
        padded = (shape[2] + top + bottom, shape[3] + left + right)
        require(
            all(n >= 1 for n in shape[2:])
            and all(n >= k for n, k in zip(padded, reach, strict=True)),
            f"kernel_size (={self.kernel_size}) must fit the padded input (={padded}, "
            f"shape {shape})",
        )
        return tuple((n - k) // s + 1 for n, k, s in zip(padded, reach, self.stride, strict=True))

    def _check_window(self) -> None:
        for name in ("kernel_size", "stride"):
            value = getattr(self, name)
            require(min(value) >= 1, f"{name} (={value}) must be at least 1")
        require(
            self.padding == "SAME_UPPER" or min(self.padding) >= 0,
            f"padding (={self.padding}) must not be negative",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2d(Window):
    """Cross-correlation with grouped filters, as ``torch.nn.Conv2d``.

    (N, in_channels, H, W) -> (N, out_channels, H', W'); both channel counts divisible by groups.
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

    in_channels: int
    out_channels: int
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        self._check_window()
        require_divisible("in_channels", self.in_channels, self.groups)
        require_divisible("out_channels", self.out_channels, self.groups)

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("in_channels", self.in_channels, inputs[0])
        return (inputs[0][0], self.out_channels, *self._spatial(inputs[0], self.dilation))

    @property
    def mixes_channels(self) -> bool:
        return not self.groups == self.in_channels == self.out_channels

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        fan_in = shape[1] * shape[2] * shape[3]
        found = {"weight": Parameter(shape, init="he_uniform", fan_in=fan_in)}
        if self.bias:
            found["bias"] = Parameter((self.out_channels,))
        return found

    def macs(self, output: Shape) -> int:
        per_value = self.in_channels // self.groups * self.kernel_size[0] * self.kernel_size[1]
        return output[0] * output[1] * output[2] * output[3] * per_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Window, ABC):
    """What both pools share: channels pass through, and padding is the same on opposite sides.

    The frameworks cannot express other explicit padding in a native pool; SAME_UPPER they can.
    """

    def __post_init__(self) -> None:
        self._check_window()
        if self.padding == "SAME_UPPER":
            return
        pair = symmetric(self.padding)
        require(pair is not None, f"padding (={self.padding}) must be alike on opposite sides")
        require(
            all(2 * p <= k for p, k in zip(pair or (), self.kernel_size, strict=True)),
            f"padding (={pair}) must be at most half of kernel_size (={self.kernel_size})",
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], *self._spatial(inputs[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d(Pool):
    """Maximum of each window; padding never wins. (N, C, H, W) -> (N, C, H', W')."""

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool2d(Pool):
    """Mean of each window. (N, C, H, W) -> (N, C, H', W').

    ``count_include_pad`` divides by the whole window at the border; SAME_UPPER must not (no
    framework counts the padding there).
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

    count_include_pad: bool

    def __post_init__(self) -> None:
        super(AvgPool2d, self).__post_init__()
        require(
            self.padding != "SAME_UPPER" or not self.count_include_pad,
            "count_include_pad (=True) must be False with padding (='SAME_UPPER')",
        )
