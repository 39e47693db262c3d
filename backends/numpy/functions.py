"""Functions of one number, for the table of operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.arch import Operator, operators

Array = np.ndarray


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype)


def _gelu(op: operators.GELU, x: Array) -> Array:
    if op.approximate == "none":
        return np.asarray(x * (1 + _erf(x / math.sqrt(2))) / 2)
    return np.asarray(x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2)


def _leaky(x: Array, slope: Any) -> Array:
    return np.where(x > 0, x, slope * x)


def prelu(op: operators.PReLU, inputs: list[Array], held: dict[str, Array], *_: Any) -> Array:
    """Return a leaky ReLU with a slope for each channel, or one."""
    return _leaky(inputs[0], held["weight"].reshape(-1, *(1,) * (inputs[0].ndim - 2)))


def _pow(op: operators.Pow, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # infinity and no number, as frameworks do
        return np.asarray(x**op.exponent)


FUNCTIONS: dict[type[Operator], Callable[[Any, Array], Array]] = {
    operators.GELU: _gelu,
    operators.LeakyReLU: lambda op, x: _leaky(x, op.negative_slope),
    operators.ELU: lambda op, x: np.where(x > 0, x, op.alpha * np.expm1(np.minimum(x, 0))),
    operators.Tanh: lambda op, x: np.tanh(x),
    operators.Exp: lambda op, x: np.exp(x),
    operators.Pow: _pow,
    operators.Mish: lambda op, x: x * np.tanh(np.logaddexp(0, x)),
    operators.Clamp: lambda op, x: np.clip(x, op.min_val, op.max_val),
    operators.AddScalar: lambda op, x: x + op.value,
    operators.MulScalar: lambda op, x: x * op.value,
}
"""Operator → its function."""
