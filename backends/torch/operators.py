"""Operator → native layer (a module under the node's name) or function (a call in the code)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from zoo.arch import Operator, Shape, operators, windows


class PaddedConv2d(nn.Conv2d):
    """A convolution whose padding differs by side or follows the size of the input (SAME_UPPER)."""

    def __init__(self, op: windows.Conv2d, device: Any = None, **kwargs: Any) -> None:
        super().__init__(op.in_channels, op.out_channels, device=device, **kwargs)
        self.window = op

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        top, left, bottom, right = windows.sides(
            self.window.padding, (x.shape[2], x.shape[3]), (reach[0], reach[1]), self.window.stride
        )
        return super().forward(F.pad(x, (left, right, top, bottom)))


def _ceil_mode(op: windows.Pool, x: torch.Tensor) -> tuple[tuple[int, int], bool]:
    """Return (padding, ceil_mode) that make a native pool SAME_UPPER for this input.

    An odd pixel of padding at the bottom or right is what ceil_mode adds: a last window that hangs
    over the edge, whose outside neither wins the maximum nor counts in the mean.
    """
    top, left, bottom, right = windows.sides(
        op.padding, (x.shape[2], x.shape[3]), op.kernel_size, op.stride
    )
    return (top, left), (bottom, right) != (top, left)


class SameUpperMaxPool2d(nn.Module):
    """``nn.MaxPool2d`` with SAME_UPPER padding."""

    def __init__(self, op: windows.MaxPool2d) -> None:
        super().__init__()
        self.window = op

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding, ceil_mode = _ceil_mode(self.window, x)
        op = self.window
        return F.max_pool2d(x, op.kernel_size, op.stride, padding, ceil_mode=ceil_mode)


class SameUpperAvgPool2d(nn.Module):
    """``nn.AvgPool2d`` with SAME_UPPER padding, which the mean leaves out."""

    def __init__(self, op: windows.AvgPool2d) -> None:
        super().__init__()
        self.window = op

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding, ceil_mode = _ceil_mode(self.window, x)
        op = self.window
        return F.avg_pool2d(x, op.kernel_size, op.stride, padding, ceil_mode, False)


class ChannelPermute(nn.Module):
    """Reorder the channels."""

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("indices", torch.tensor(indices), persistent=False)
        self.indices: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(1, self.indices)


def _conv(op: windows.Conv2d, shape: Shape) -> nn.Module:
    kwargs: dict[str, Any] = {
        "kernel_size": op.kernel_size,
        "stride": op.stride,
        "dilation": op.dilation,
        "groups": op.groups,
        "bias": op.bias,
    }
    padding = windows.symmetric(op.padding)
    if padding is None:
        return skip_init(PaddedConv2d, op, padding=0, **kwargs)
    return skip_init(nn.Conv2d, op.in_channels, op.out_channels, padding=padding, **kwargs)


def _max_pool(op: windows.MaxPool2d, shape: Shape) -> nn.Module:
    padding = windows.symmetric(op.padding)
    if padding is None:
        return SameUpperMaxPool2d(op)
    return nn.MaxPool2d(op.kernel_size, op.stride, padding)


def _avg_pool(op: windows.AvgPool2d, shape: Shape) -> nn.Module:
    padding = windows.symmetric(op.padding)
    if padding is None:
        return SameUpperAvgPool2d(op)
    return nn.AvgPool2d(op.kernel_size, op.stride, padding, count_include_pad=op.count_include_pad)


MODULES: dict[type[Operator], Callable[[Any, Shape], nn.Module]] = {
    windows.Conv2d: _conv,
    windows.MaxPool2d: _max_pool,
    windows.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: lambda op, shape: nn.BatchNorm2d(
        op.num_features, eps=op.eps, momentum=op.momentum
    ),
    operators.ReLU: lambda op, shape: nn.ReLU(),
    operators.ReLU6: lambda op, shape: nn.ReLU6(),
    operators.HardSwish: lambda op, shape: nn.Hardswish(),
    operators.HardSigmoid: lambda op, shape: nn.Hardsigmoid(),
    operators.Sigmoid: lambda op, shape: nn.Sigmoid(),
    operators.Dropout: lambda op, shape: nn.Dropout(op.p),
    operators.GlobalAvgPool2d: lambda op, shape: nn.AdaptiveAvgPool2d(1),
    # PyTorch's layer views the channels as (groups, C / groups): with C / groups for its groups it
    # is the other order, so one native kernel serves both.
    operators.ChannelShuffle: lambda op, shape: nn.ChannelShuffle(op.rows(shape[1])),
    operators.ChannelPermute: lambda op, shape: ChannelPermute(op.indices),
    operators.Linear: lambda op, shape: skip_init(
        nn.Linear, op.in_features, op.out_features, bias=op.bias
    ),
}
"""Operator → the module for it and the shape of its first input."""

FUNCTIONS: dict[type[Operator], Callable[[Any, tuple[Any, ...]], tuple[Callable, tuple]]] = {
    operators.Slice: lambda op, x: (torch.narrow, (x[0], 1, op.start, op.stop - op.start)),
    operators.Concat: lambda op, x: (torch.cat, (x, 1)),
    operators.Add: lambda op, x: (torch.add, x),
    operators.Mul: lambda op, x: (torch.mul, x),
    operators.Flatten: lambda op, x: (torch.flatten, (x[0], 1)),
}
"""Operator → (function, arguments) for operators without state."""

IN_PLACE: dict[Callable, Callable] = {torch.add: operator.iadd}
"""Function → the form that writes over its first argument. Layers have ``inplace``."""
