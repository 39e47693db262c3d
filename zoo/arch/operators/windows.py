"""Operators that slide a window over a feature map: convolution and the two pools.

Padding is ``(top, left, bottom, right)``, ONNX's order since PyTorch has no spelling for padding
per side, or ``"SAME_UPPER"`` (ONNX's and TensorFlow's rule, MindSpore's ``pad_mode="same"``): as
much as makes the output ceil(size / stride), the odd pixel at the bottom and right. How much that
is depends on the size of the input, so it stays a rule in the graph and each backend resolves it
(`Window.resolved`). So does how far the last windows of a pool with ``ceil_mode`` hang over.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from zoo.arch.later import LATER
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

    @property
    def reach(self) -> Pair:
        """Height and width of what a window spans."""
        return self.kernel_size

    def resolved(self, size: Pair) -> Sides:
        """Return (top, left, bottom, right), what windows over this size need beside it."""
        return sides(self.padding, size, self.reach, self.stride)

    def _spatial(self, shape: Shape) -> Shape:
        require_map(shape)
        reach = self.reach
        top, left, bottom, right = self.resolved((shape[2], shape[3]))
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
    ``initial_scale`` is what the weights that are drawn are multiplied by.
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
    initial_scale: float = field(default=1.0, compare=False, metadata=LATER)

    def __post_init__(self) -> None:
        self._check_window()
        require_divisible("in_channels", self.in_channels, self.groups)
        require_divisible("out_channels", self.out_channels, self.groups)

    @property
    def reach(self) -> Pair:
        (k, m), (d, e) = self.kernel_size, self.dilation
        return (d * (k - 1) + 1, e * (m - 1) + 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("in_channels", self.in_channels, inputs[0])
        return (inputs[0][0], self.out_channels, *self._spatial(inputs[0]))

    @property
    def mixes_channels(self) -> bool:
        return not self.groups == self.in_channels == self.out_channels

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        fan_in = shape[1] * shape[2] * shape[3]
        scale = self.initial_scale
        found = {"weight": Parameter(shape, init="he_uniform", fan_in=fan_in, scale=scale)}
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
    With ``ceil_mode``, windows may hang over the bottom and right by less than a stride, as long as
    they start inside of the map or of its padding (PyTorch's rule).
    """

    ceil_mode: bool = False

    def __post_init__(self) -> None:
        self._check_window()
        if self.padding == "SAME_UPPER":
            rule = "ceil_mode (=True) must be False with padding (='SAME_UPPER')"
            require(not self.ceil_mode, rule)
            return
        pair = symmetric(self.padding)
        require(pair is not None, f"padding (={self.padding}) must be alike on opposite sides")
        require(
            all(2 * p <= k for p, k in zip(pair or (), self.kernel_size, strict=True)),
            f"padding (={pair}) must be at most half of kernel_size (={self.kernel_size})",
        )

    def resolved(self, size: Pair) -> Sides:
        given = sides(self.padding, size, self.kernel_size, self.stride)
        if not self.ceil_mode:
            return given
        after = []
        for n, p, k, s in zip(size, given[:2], self.kernel_size, self.stride, strict=True):
            count = -(-(n + 2 * p - k) // s) + 1
            count -= (count - 1) * s >= n + p
            after.append(max((count - 1) * s + k - n - p, 0))
        return (given[0], given[1], after[0], after[1])

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
    framework counts the padding there). What hangs over with ``ceil_mode`` never counts.
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
