"""Operator → native Cell. MindSpore's defaults differ from PyTorch's: every value is passed on.

Cells choose by ``self.training`` between two realisations of a pool: MindSpore's padded pools run
as 3-D ones, slow forward and not exportable, but their backward passes are the fast ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from zoo.arch import Operator, Shape, operators, windows


class MaxPool2d(nn.Cell):
    """A max pool with symmetric padding, exactly PyTorch's.

    In evaluation the edge is repeated instead of padded: a copy of what a window holds anyway never
    changes its maximum.
    """

    def __init__(self, op: windows.MaxPool2d) -> None:
        super().__init__()
        self.rows, self.columns = windows.symmetric(op.padding) or (0, 0)
        self.padded = nn.MaxPool2d(
            op.kernel_size, op.stride, pad_mode="pad", padding=windows.symmetric(op.padding)
        )
        self.valid = nn.MaxPool2d(op.kernel_size, op.stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        if self.training:
            return self.padded(x)
        for _ in range(self.rows):
            x = ops.cat((x[:, :, :1], x, x[:, :, -1:]), 2)
        for _ in range(self.columns):
            x = ops.cat((x[:, :, :, :1], x, x[:, :, :, -1:]), 3)
        return self.valid(x)


class AvgPool2d(nn.Cell):
    """An average pool with symmetric padding that counts in the mean, exactly PyTorch's."""

    def __init__(self, op: windows.AvgPool2d) -> None:
        super().__init__()
        self.rows, self.columns = windows.symmetric(op.padding) or (0, 0)
        self.padded = nn.AvgPool2d(
            op.kernel_size, op.stride, pad_mode="pad", padding=windows.symmetric(op.padding)
        )
        self.valid = nn.AvgPool2d(op.kernel_size, op.stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        if self.training:
            return self.padded(x)
        for _ in range(self.rows):
            zeros = ops.zeros_like(x[:, :, :1])
            x = ops.cat((zeros, x, zeros), 2)
        for _ in range(self.columns):
            zeros = ops.zeros_like(x[:, :, :, :1])
            x = ops.cat((zeros, x, zeros), 3)
        return self.valid(x)


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
    return MaxPool2d(op)


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
    return AvgPool2d(op)


CELLS: dict[type[Operator], Callable[[Any, Shape], nn.Cell]] = {
    windows.Conv2d: _conv,
    windows.MaxPool2d: _max_pool,
    windows.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: lambda op, shape: nn.BatchNorm2d(
        op.num_features, eps=op.eps, momentum=1 - op.momentum
    ),
    operators.ReLU: lambda op, shape: nn.ReLU(),
    operators.HardSwish: lambda op, shape: nn.HSwish(),
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
