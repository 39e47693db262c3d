"""Operators on whole maps, for the table of operators."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from zoo.arch import operators

Array = np.ndarray
Arrays = dict[str, Array]


def reduce(op: operators.Reduce, inputs: list[Array], held: Arrays, training: bool) -> Array:
    """Return the mean, sum or largest value over axes."""
    function: Any = {"mean": np.mean, "sum": np.sum, "amax": np.max}[op.kind]
    return np.asarray(function(inputs[0], axis=op.dim, keepdims=op.keepdim))


def pad(op: operators.Pad2d, inputs: list[Array], held: Arrays, training: bool) -> Array:
    """Return a map with pixels beside it, or without some."""
    top, left, bottom, right = op.sides
    more = ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in ((top, bottom), (left, right))))
    how: dict[str, Any] = {"constant": {"mode": "constant", "constant_values": op.value}}
    how |= {"reflect": {"mode": "reflect"}, "replicate": {"mode": "edge"}}
    x = np.pad(inputs[0], more, **how[op.mode])
    height, width = x.shape[2] - max(-bottom, 0), x.shape[3] - max(-right, 0)
    return np.asarray(x[:, :, max(-top, 0) : height, max(-left, 0) : width])


def upsample(op: operators.Upsample, inputs: list[Array], held: Arrays, training: bool) -> Array:
    """Return a map of another size."""
    sides = zip(op.output_shape(inputs[0].shape)[2:], inputs[0].shape[2:], strict=True)
    down, across = (np.array(op.shares(made, read), inputs[0].dtype) for made, read in sides)
    return np.asarray(down @ inputs[0] @ across.T)


def conv_transpose(
    op: operators.ConvTranspose2d, inputs: list[Array], held: Arrays, training: bool
) -> Array:
    """Return the sum of filters that the pixels of a map put down."""
    x, weight = inputs[0], held["weight"]
    n, _, height, width = x.shape
    made = op.output_shape(x.shape)[2:]
    by_group = x.reshape(n, op.groups, -1, height * width)
    whole = [m + 2 * p for m, p in zip(made, op.padding, strict=True)]
    total = np.zeros((n, op.out_channels, *whole), x.dtype)
    for i, j in itertools.product(*map(range, op.kernel_size)):
        filters = weight[:, :, i, j].reshape(op.groups, -1, op.out_channels // op.groups)
        put = (np.moveaxis(filters, 1, 2) @ by_group).reshape(n, op.out_channels, height, width)
        (y, s), (z, t) = zip((i * op.dilation[0], j * op.dilation[1]), op.stride, strict=True)
        total[:, :, y : y + (height - 1) * s + 1 : s, z : z + (width - 1) * t + 1 : t] += put
    (p, q), (rows, columns) = op.padding, made
    kept = total[:, :, p : p + rows, q : q + columns]
    return np.asarray(kept + held["bias"][:, None, None] if op.bias else kept)
