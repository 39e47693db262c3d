"""What rounding scales with where values are normalized or weighed by what they are themselves."""

from __future__ import annotations

import numpy as np

from zoo.arch.operators import GroupNorm, LayerNorm, ScaledDotProductAttention, Softmax

Arrays = dict[str, np.ndarray]


def token_magnitude(
    op: LayerNorm | GroupNorm | Softmax | ScaledDotProductAttention,
    inputs: list[np.ndarray],
    held: Arrays,
    exact: np.ndarray,
) -> np.ndarray:
    """Return what `zoo.proof.local.magnitude` does for these operators."""
    x = inputs[0]
    if isinstance(op, LayerNorm):
        axes = tuple(range(-len(op.normalized_shape), 0))
        y = _normalized(x, axes, op.eps)
        shape: tuple[int, ...] = op.normalized_shape
        return _scaled(y, held, shape) if op.affine else y
    if isinstance(op, GroupNorm):
        y = _normalized(x.reshape(len(x), op.num_groups, -1), (2,), op.eps).reshape(x.shape)
        shape = (-1, *(1,) * (x.ndim - 2))
        return _scaled(y, held, shape)
    if isinstance(op, Softmax):  # an error of a score is a relative one of what is made of it
        return np.asarray(exact * (1 + np.abs(x).max(op.dim, keepdims=True)))
    q, k, v, *mask = inputs
    scores = op.scale * (q @ k.swapaxes(-1, -2))
    sizes = abs(op.scale) * (np.abs(q) @ np.abs(k).swapaxes(-1, -2))
    if mask:
        scores, sizes = scores + mask[0], sizes + np.abs(mask[0])
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    shares = raised / raised.sum(-1, keepdims=True)
    sizes = np.where(shares > 0, sizes, 0)  # of what a mask leaves out
    return np.asarray((shares * (1 + sizes.max(-1, keepdims=True))) @ np.abs(v))


def _scaled(y: np.ndarray, held: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    weight, bias = (np.abs(held[role]).reshape(shape) for role in ("weight", "bias"))
    return np.asarray(y * weight + bias)


def _normalized(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return np.asarray((np.abs(x) + np.abs(mean)) / np.sqrt(var + eps))
