"""What every operator means, in NumPy. Written to be read and to be right; float64 by default."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from backends.numpy import maps
from backends.numpy.functions import FUNCTIONS, prelu
from backends.numpy.token_operators import TOKENS
from zoo.arch import Operator, operators
from zoo.errors import InputError

Array = np.ndarray
Arrays = dict[str, Array]
Apply = Callable[[Any, list[Array], Arrays, bool], Array]


def _windows(op: operators.Window, x: Array, fill: float, dilation: tuple[int, int]) -> Any:
    """Yield ((i, j), the pixels that the window's offset (i, j) sees) over a padded input."""
    top, left, bottom, right = op.resolved((x.shape[2], x.shape[3]))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    yield from _slide(op, x, dilation)


def _slide(op: operators.Window, x: Array, dilation: tuple[int, int]) -> Any:
    rows = x.shape[2] - op.reach[0] + 1
    columns = x.shape[3] - op.reach[1] + 1
    for i, j in itertools.product(*map(range, op.kernel_size)):
        y0, x0 = i * dilation[0], j * dilation[1]
        yield (i, j), x[:, :, y0 : y0 + rows : op.stride[0], x0 : x0 + columns : op.stride[1]]


def _conv(op: operators.Conv2d, inputs: list[Array], held: Arrays, training: bool) -> Array:
    weight, groups = held["weight"], op.groups
    total: Array | float = 0.0
    for (i, j), seen in _windows(op, inputs[0], 0.0, op.dilation):
        n, _, height, width = seen.shape
        if groups == op.in_channels == op.out_channels:  # depthwise: one product a channel
            total = total + seen * weight[:, 0, i, j, None, None]
            continue
        by_group = seen.reshape(n, groups, -1, height * width)
        # Contiguous: of a view with strides NumPy makes the product by itself, thirty times slower.
        filters = np.ascontiguousarray(weight[:, :, i, j]).reshape(
            groups, op.out_channels // groups, -1
        )
        total = total + (filters @ by_group).reshape(n, op.out_channels, height, width)
    return np.asarray(total + held["bias"][:, None, None] if op.bias else total)


def _max_pool(op: operators.MaxPool2d, inputs: list[Array], held: Arrays, training: bool) -> Array:
    return np.asarray(
        np.max([seen for _, seen in _windows(op, inputs[0], -np.inf, (1, 1))], axis=0)
    )


def _avg_pool(op: operators.AvgPool2d, inputs: list[Array], held: Arrays, training: bool) -> Array:
    height, width = inputs[0].shape[2:]
    total = sum(seen for _, seen in _windows(op, inputs[0], 0.0, (1, 1)))
    top, left, bottom, right = op.resolved((height, width))
    counted = np.zeros((1, 1, top + height + bottom, left + width + right), inputs[0].dtype)
    counted[:, :, top : top + height, left : left + width] = 1
    if op.count_include_pad:  # but not what hangs over the padded map
        counted[:, :, : height + 2 * top, : width + 2 * left] = 1
    return np.asarray(total / sum(seen for _, seen in _slide(op, counted, (1, 1))))


def _batch_norm(
    op: operators.BatchNorm2d, inputs: list[Array], held: Arrays, training: bool
) -> Array:
    x = inputs[0]
    mean, var = held["running_mean"], held["running_var"]
    if training:
        batch_mean, batch_var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        count = x.size // op.num_features
        if count < 2:
            raise InputError(f"values a channel (={count}) must be at least 2 in training")
        mean += op.momentum * (batch_mean - mean)
        var += op.momentum * (batch_var * (count / (count - 1)) - var)
        mean, var = batch_mean, batch_var
    scale = held["weight"] / np.sqrt(var + op.eps)
    return np.asarray(
        (x - mean[:, None, None]) * scale[:, None, None] + held["bias"][:, None, None]
    )


def _shuffle(
    op: operators.ChannelShuffle, inputs: list[Array], held: Arrays, training: bool
) -> Array:
    n, channels, height, width = inputs[0].shape
    rows = op.rows(channels)
    x = inputs[0].reshape(n, rows, channels // rows, height, width)
    return x.transpose(0, 2, 1, 3, 4).reshape(n, channels, height, width)


def _adaptive_avg_pool(
    op: operators.AdaptiveAvgPool2d, inputs: list[Array], held: Arrays, training: bool
) -> Array:
    rows, columns = op.cells(inputs[0].shape)
    means = [[inputs[0][:, :, y:v, x:u].mean((2, 3)) for x, u in columns] for y, v in rows]
    return np.moveaxis(np.array(means), (0, 1), (2, 3))


def _dropout(op: operators.Dropout, inputs: list[Array], held: Arrays, training: bool) -> Array:
    if training and op.p > 0:
        raise InputError(
            "the numpy backend runs dropout in evaluation only: masks are the framework's"
        )
    return inputs[0]


def _linear(op: operators.Linear, inputs: list[Array], held: Arrays, training: bool) -> Array:
    y = inputs[0] @ held["weight"].T
    return np.asarray(y + held["bias"] if op.bias else y)


def _hard_sigmoid(x: Array) -> Array:
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # to infinity, of which 0 is made
        return np.asarray(1 / (1 + np.exp(-x)))


def _of_one(function: Callable[[Any, Array], Array]) -> Apply:
    return lambda op, inputs, held, training: function(op, inputs[0])


OPERATORS: dict[type[Operator], Apply] = {
    operators.Conv2d: _conv,
    operators.MaxPool2d: _max_pool,
    operators.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: _batch_norm,
    operators.ReLU: lambda op, x, *_: np.maximum(x[0], 0),
    operators.ReLU6: lambda op, x, *_: np.clip(x[0], 0, 6),
    operators.HardSwish: lambda op, x, *_: x[0] * _hard_sigmoid(x[0]),
    operators.HardSigmoid: lambda op, x, *_: _hard_sigmoid(x[0]),
    operators.SiLU: lambda op, x, *_: x[0] * _sigmoid(x[0]),
    operators.Sigmoid: lambda op, x, *_: _sigmoid(x[0]),
    **{kind: _of_one(function) for kind, function in FUNCTIONS.items()},
    operators.PReLU: prelu,
    operators.Reduce: maps.reduce,
    operators.Pad2d: maps.pad,
    operators.Upsample: maps.upsample,
    operators.ConvTranspose2d: maps.conv_transpose,
    operators.Dropout: _dropout,
    operators.GlobalAvgPool2d: lambda op, x, *_: x[0].mean((2, 3), keepdims=True),
    operators.AdaptiveAvgPool2d: _adaptive_avg_pool,
    operators.ChannelShuffle: _shuffle,
    operators.ChannelPermute: lambda op, x, *_: x[0][:, list(op.indices)],
    operators.Linear: _linear,
    operators.Slice: lambda op, x, *_: x[0][:, op.start : op.stop],
    operators.Concat: lambda op, x, *_: np.concatenate(x, axis=1),
    operators.Add: lambda op, x, *_: x[0] + x[1],
    operators.Mul: lambda op, x, *_: x[0] * x[1],
    operators.Flatten: lambda op, x, *_: x[0].reshape(len(x[0]), -1),
    **TOKENS,
}
"""Operator → its output; arguments as for `apply`."""


def apply(op: Operator, inputs: list[Array], held: Arrays, training: bool) -> Array:
    """Return the output of one operator.

    Args:
        op: the operator.
        inputs: its inputs.
        held: role → array of its parameters; running statistics are updated in place when training.
        training: whether batch norm uses (and records) the statistics of the batch.
    """
    return OPERATORS[type(op)](op, inputs, held, training)
