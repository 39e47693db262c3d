"""Operator → native Cell. MindSpore's defaults differ from PyTorch's: every value is passed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.ops import constexpr

from zoo.arch import Operator, Shape, operators, windows


@constexpr
def _pads(kernel_size: Any, stride: Any, padding: Any, size: Any) -> tuple[int, ...]:
    """Return the rows (top, bottom) and columns (left, right) of padding that windows reach."""
    found: list[int] = []
    for n, k, s, p in zip(size, kernel_size, stride, padding, strict=True):
        end = (n + 2 * p - k) // s * s + k - p  # of the last window
        found += [p, max(end - n, 0)]
    return tuple(found)


class SymmetricPool2d(nn.Cell):
    """A pool with the same padding on opposite sides, exactly PyTorch's.

    MindSpore's padded pools run as 3-D ones, slow forward and not exportable, but their backward
    passes are the fast ones. So they serve in training, and in evaluation the map is enlarged by
    what the windows reach (often one side only) before a pool without padding.
    """

    def __init__(self, op: windows.Pool, kind: type[nn.Cell], zeros: bool) -> None:
        super().__init__()
        self.kernel_size, self.stride = op.kernel_size, op.stride
        self.padding = windows.symmetric(op.padding)
        self.zeros = zeros
        self.padded = kind(op.kernel_size, op.stride, pad_mode="pad", padding=self.padding)
        self.valid = kind(op.kernel_size, op.stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        if self.training:
            return self.padded(x)
        top, bottom, left, right = _pads(self.kernel_size, self.stride, self.padding, x.shape[2:])
        x = self.enlarge(x, x[:, :, :1], x[:, :, -1:], 2, top, bottom)
        x = self.enlarge(x, x[:, :, :, :1], x[:, :, :, -1:], 3, left, right)
        return self.valid(x)

    def enlarge(
        self, x: Tensor, first: Tensor, last: Tensor, axis: int, before: int, after: int
    ) -> Tensor:
        # A copy of the edge never changes the maximum of a window, which holds the edge anyway.
        if self.zeros:
            first, last = ops.zeros_like(first), ops.zeros_like(last)
        parts = (first,) * before + (x,) + (last,) * after
        return ops.cat(parts, axis) if len(parts) > 1 else x


class Gather(nn.Cell):
    """Output channel i is input channel ``indices[i]``: a shuffle or any other permutation."""

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.indices = Tensor(np.array(indices), ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, 1)


class Slice(nn.Cell):
    """A run of channels."""

    def __init__(self, op: operators.Slice) -> None:
        super().__init__()
        self.start, self.stop = op.start, op.stop

    def construct(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


class Concat(nn.Cell):
    """Join along the channels."""

    def construct(self, *xs: Tensor) -> Tensor:
        return ops.cat(xs, 1)


class GlobalAvgPool2d(nn.Cell):
    """Mean over height and width, kept as (N, C, 1, 1)."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.mean(x, (2, 3), keep_dims=True)


class Add(nn.Cell):
    """Sum of two values."""

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Mul(nn.Cell):
    """Product of two values."""

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


def _conv(op: windows.Conv2d, shape: Shape) -> nn.Cell:
    mode, padding = "same", (0, 0, 0, 0)
    if not isinstance(op.padding, str):
        top, left, bottom, right = op.padding
        mode, padding = "pad", (top, bottom, left, right)
    return nn.Conv2d(
        op.in_channels,
        op.out_channels,
        op.kernel_size,
        stride=op.stride,
        pad_mode=mode,
        padding=padding,
        dilation=op.dilation,
        group=op.groups,
        has_bias=op.bias,
        weight_init="zeros",
        bias_init="zeros",
    )


def _max_pool(op: windows.MaxPool2d, shape: Shape) -> nn.Cell:
    if op.padding == "SAME_UPPER":
        return nn.MaxPool2d(op.kernel_size, op.stride, pad_mode="same")
    return SymmetricPool2d(op, nn.MaxPool2d, zeros=False)


def _avg_pool(op: windows.AvgPool2d, shape: Shape) -> nn.Cell:
    if op.padding == "SAME_UPPER":
        return nn.AvgPool2d(op.kernel_size, op.stride, pad_mode="same")
    if not op.count_include_pad and any(op.padding):
        return nn.AvgPool2d(
            op.kernel_size,
            op.stride,
            pad_mode="pad",
            padding=windows.symmetric(op.padding),
            count_include_pad=False,
        )
    return SymmetricPool2d(op, nn.AvgPool2d, zeros=True)


CELLS: dict[type[Operator], Callable[[Any, Shape], nn.Cell]] = {
    windows.Conv2d: _conv,
    windows.MaxPool2d: _max_pool,
    windows.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: lambda op, shape: nn.BatchNorm2d(
        op.num_features, eps=op.eps, momentum=1 - op.momentum
    ),
    operators.ReLU: lambda op, shape: nn.ReLU(),
    operators.ReLU6: lambda op, shape: nn.ReLU6(),
    operators.HardSwish: lambda op, shape: nn.HSwish(),
    operators.HardSigmoid: lambda op, shape: nn.HSigmoid(),
    operators.Sigmoid: lambda op, shape: nn.Sigmoid(),
    operators.Dropout: lambda op, shape: nn.Dropout(p=op.p),
    operators.GlobalAvgPool2d: lambda op, shape: GlobalAvgPool2d(),
    operators.ChannelShuffle: lambda op, shape: Gather(op.indices(shape[1])),
    operators.ChannelPermute: lambda op, shape: Gather(op.indices),
    operators.Slice: lambda op, shape: Slice(op),
    operators.Concat: lambda op, shape: Concat(),
    operators.Add: lambda op, shape: Add(),
    operators.Mul: lambda op, shape: Mul(),
    operators.Flatten: lambda op, shape: nn.Flatten(),
    operators.Linear: lambda op, shape: nn.Dense(
        op.in_features, op.out_features, has_bias=op.bias, weight_init="zeros", bias_init="zeros"
    ),
}
"""Operator → the Cell for it and the shape of its first input."""
