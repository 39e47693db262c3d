"""Operators on whole maps: reductions over axes, padding, upsampling, transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.arch.operator import (
    ChannelFlow,
    Operator,
    Parameter,
    Result,
    Shape,
    Sign,
    Traits,
    require,
    require_channels,
    require_divisible,
    require_map,
)
from zoo.arch.operators.windows import Pair, Sides


def _map(sign: Sign, channels: ChannelFlow = "each", result: Result = "own") -> Traits:
    """Return the traits of what computes and is no function of single numbers."""
    return Traits(
        elementwise=False,
        channels=channels,
        sign=sign,
        kinks=(),
        rounds=True,
        overwrites=False,
        result=result,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(Operator):
    """Mean, sum or largest value over axes, which stay with length 1 if ``keepdim``.

    A largest value keeps its result for the backward pass, which divides the gradient among equals.
    """

    traits = _map("kept", "mixed", "saved")

    kind: Literal["mean", "sum", "amax"]
    dim: tuple[int, ...]
    keepdim: bool

    def __post_init__(self) -> None:
        known = self.kind in ("mean", "sum", "amax")
        require(known, f"kind (={self.kind!r}) must be mean, sum or amax")
        ascending = bool(self.dim) and self.dim == tuple(sorted({*self.dim})) and self.dim[0] > 0
        require(ascending, f"dim (={self.dim}) must be axes after that of the images, ascending")

    @property
    def mixes_channels(self) -> bool:
        return 1 in self.dim

    def output_shape(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        require(self.dim[-1] < len(shape), f"dim (={self.dim}) must be axes of its input {shape}")
        if self.keepdim:
            return tuple(1 if i in self.dim else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in self.dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad2d(Operator):
    """A map with rows and columns beside it: (top, left, bottom, right), negative to cut some off.

    They hold ``value``, or are the map mirrored at its edge pixels (which are not repeated), or
    these pixels again.
    """

    traits = _map("free")

    sides: Sides
    mode: Literal["constant", "reflect", "replicate"]
    value: float = 0.0

    def __post_init__(self) -> None:
        modes = ("constant", "reflect", "replicate")
        require(self.mode in modes, f"mode (={self.mode!r}) must be one of {', '.join(modes)}")
        plain = self.mode == "constant"
        require(plain or min(self.sides) >= 0, f"sides (={self.sides}) must not be negative")
        require(plain or self.value == 0, f"value (={self.value}) must be 0 with mode {self.mode}")
        require(abs(self.value) < float("inf"), f"value (={self.value}) must be finite")

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        n, c, height, width = inputs[0]
        top, left, bottom, right = self.sides
        made = (height + top + bottom, width + left + right)
        inside = self.mode != "reflect" or (max(top, bottom) < height and max(left, right) < width)
        fits = inside and min(made) >= 1
        require(fits, f"sides (={self.sides}) must fit its input (shape {inputs[0]})")
        return (n, c, *made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Operator):
    """A map of another size, by its nearest pixel or between four of them.

    Exactly one of ``size`` and ``scale_factor`` is given. As ``torch.nn.Upsample``: pixel i of a
    side of n, made of m, is at (i + 1/2) m / n - 1/2, or at i (m - 1) / (n - 1) with
    ``align_corners``; ``"nearest"`` takes the pixel floor(i m / n).
    """

    traits = _map("kept")

    size: Pair | None
    scale_factor: Pair | None
    mode: Literal["nearest", "bilinear"]
    align_corners: bool

    def __post_init__(self) -> None:
        known = self.mode in ("nearest", "bilinear")
        require(known, f"mode (={self.mode!r}) must be nearest or bilinear")
        one = (self.size is None) != (self.scale_factor is None)
        require(one, f"size (={self.size}) or scale_factor (={self.scale_factor}) must be given")
        given = self.size or self.scale_factor or (0, 0)
        rule = "size and scale_factor must be whole numbers of at least 1"
        require(all(n >= 1 and n == int(n) for n in given), f"{rule} (={given})")
        require(
            not (self.align_corners and self.mode == "nearest"),
            "align_corners (=True) must be False with mode nearest",
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        n, c, height, width = inputs[0]
        down, right = self.scale_factor or (1, 1)
        return (n, c, *(self.size or (height * down, width * right)))

    def shares(self, made: int, read: int) -> list[list[float]]:
        """Return for each pixel of a side how much it is of each pixel that it is made of."""
        found = []
        for i in range(made):
            at = (i + 0.5) * read / made - 0.5
            if self.mode == "nearest":
                at = i * read // made
            elif self.align_corners:
                at = i * (read - 1) / max(made - 1, 1)
            at = min(max(at, 0), read - 1)
            found.append([max(1 - abs(at - j), 0.0) for j in range(read)])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose2d(Operator):
    """The transpose of a convolution, as ``torch.nn.ConvTranspose2d``.

    Every pixel adds the filter, times its value, to the output, ``stride`` apart; ``padding`` is
    cut off the edges, at the bottom and right by ``output_padding`` less.
    """

    traits = _map("free", "mixed")

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair
    output_padding: Pair
    dilation: Pair
    groups: int
    bias: bool

    def __post_init__(self) -> None:
        require_divisible("in_channels", self.in_channels, self.groups)
        require_divisible("out_channels", self.out_channels, self.groups)
        for name in ("kernel_size", "stride", "dilation"):
            value = getattr(self, name)
            require(min(value) >= 1, f"{name} (={value}) must be at least 1")
        pairs = zip(self.output_padding, self.padding, strict=True)
        require(
            all(0 <= less <= p for less, p in pairs),
            f"output_padding (={self.output_padding}) must be at most padding (={self.padding})",
        )

    @property
    def mixes_channels(self) -> bool:
        return not self.groups == self.in_channels == self.out_channels

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("in_channels", self.in_channels, inputs[0])
        made = tuple(
            (n - 1) * self.stride[i]
            + self.dilation[i] * (self.kernel_size[i] - 1) + 1
            - 2 * self.padding[i] + self.output_padding[i]
            for i, n in enumerate(inputs[0][2:])
        )  # fmt: skip
        require(min(made) >= 1, f"padding (={self.padding}) must leave some of the map {made}")
        return (inputs[0][0], self.out_channels, *made)

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        overlaps = math.prod(self.kernel_size) // math.prod(self.stride)
        fan_in = self.in_channels // self.groups * max(overlaps, 1)
        found = {"weight": Parameter(shape, init="he_uniform", fan_in=fan_in)}
        if self.bias:
            found["bias"] = Parameter((self.out_channels,))
        return found

    def macs(self, output: Shape) -> int:
        read = 1
        for i, n in enumerate(output[2:]):
            reach = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            whole = n - reach + 2 * self.padding[i] - self.output_padding[i]
            read *= (whole // self.stride[i] + 1) * self.kernel_size[i]
        return output[0] * read * self.in_channels * self.out_channels // self.groups
