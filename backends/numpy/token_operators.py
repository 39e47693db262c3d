"""What the operators of token networks mean, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.arch import Operator, operators

Array = np.ndarray
Arrays = dict[str, Array]
Apply = Callable[[Any, list[Array], Arrays, bool], Array]


def _normal(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + eps))


def _layer_norm(op: operators.LayerNorm, x: list[Array], held: Arrays, training: bool) -> Array:
    y = _normal(x[0], tuple(range(-len(op.normalized_shape), 0)), op.eps)
    return np.asarray(y * held["weight"] + held["bias"] if op.affine else y)


def _group_norm(op: operators.GroupNorm, x: list[Array], held: Arrays, training: bool) -> Array:
    y = _normal(x[0].reshape(len(x[0]), op.num_groups, -1), (2,), op.eps).reshape(x[0].shape)
    shape = (-1, *(1,) * (y.ndim - 2))
    return np.asarray(y * held["weight"].reshape(shape) + held["bias"].reshape(shape))


def _normalize(op: operators.Normalize, x: list[Array], held: Arrays, training: bool) -> Array:
    length = np.sqrt(np.square(x[0]).sum(op.dim, keepdims=True))
    return np.asarray(x[0] / np.maximum(length, op.eps))


def _softmax(x: Array, axis: int) -> Array:
    raised = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis, keepdims=True))


def _attention(
    op: operators.ScaledDotProductAttention, x: list[Array], held: Arrays, training: bool
) -> Array:
    q, k, v, *mask = x
    scores = op.scale * (q @ k.swapaxes(-1, -2))
    return np.asarray(_softmax(scores + mask[0] if mask else scores, -1) @ v)


def _narrow(op: operators.Narrow, x: list[Array], held: Arrays, training: bool) -> Array:
    return x[0][(*[slice(None)] * op.dim, slice(op.start, op.stop, op.step))]


TOKENS: dict[type[Operator], Apply] = {
    operators.LayerNorm: _layer_norm,
    operators.GroupNorm: _group_norm,
    operators.Normalize: _normalize,
    operators.Softmax: lambda op, x, *_: _softmax(x[0], op.dim),
    operators.MatMul: lambda op, x, *_: x[0] @ x[1],
    operators.ScaledDotProductAttention: _attention,
    operators.Weight: lambda op, x, held, *_: held["weight"].copy(),
    operators.Expand: lambda op, x, *_: np.repeat(x[0], len(x[1]), 0),
    operators.Permute: lambda op, x, *_: x[0].transpose(op.dims),
    operators.Reshape: lambda op, x, *_: x[0].reshape(-1, *op.shape),
    operators.Roll: lambda op, x, *_: np.roll(x[0], op.shifts, op.dims),
    operators.Index: lambda op, x, *_: np.take(x[0], op.indices, op.dim),
    operators.Narrow: _narrow,
    operators.ConcatAlong: lambda op, x, *_: np.concatenate(x, op.dim),
}
"""Operator → its output; arguments as for `backends.numpy.operators.apply`."""
