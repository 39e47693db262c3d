"""What the functions of mutants are made of: arithmetic that every framework's tensors share."""

from __future__ import annotations

import math
from typing import Any

from zoo.arch import operators
from zoo.proof.mutants.mutation import Namespace


def positive(x: Any) -> Any:
    """Return max(x, 0); exact, as doubling and halving are."""
    return (x + abs(x)) / 2


def at_most(x: Any, top: float) -> Any:
    """Return min(x, top); exact below it."""
    return x - positive(x - top)


def clip(x: Any, low: float, high: float) -> Any:
    """Return x, held between two numbers; exact between them."""
    return at_most(x + positive(low - x), high)


def sigmoid(ns: Namespace, x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = ns.exp(-abs(x))
    return (ns.step(x) * (1 - small) + small) / (1 + small)


def rolled(ns: Namespace, x: Any, axis: int, by: int = 1) -> Any:
    """Move the values of an axis along it, the last ones to the front."""
    n = x.shape[axis]
    return ns.take(x, [(i - by) % n for i in range(n)], axis)


def flipped(ns: Namespace, x: Any, axis: int) -> Any:
    """Turn an axis around."""
    return ns.take(x, list(range(x.shape[axis]))[::-1], axis)


def last(ns: Namespace, x: Any, axis: int = 1) -> Any:
    """Return ones at the last place of an axis and zeros elsewhere, to be multiplied with x."""
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    values = [0.0] * (x.shape[axis] - 1) + [1.0]
    return ns.array(values, x).reshape(tuple(shape))


def cut(ns: Namespace, y: Any, mask: Any) -> Any:
    """Return y without its gradient where the mask is 1."""
    return y * (1 - mask) + ns.detach(y * mask)


def gradient_of(ns: Namespace, value: Any, other: Any) -> Any:
    """Return a value with the gradient of another."""
    return ns.detach(value - other) + other


def size_of(x: Any) -> int:
    """Return the number of values over which a batch norm takes its mean."""
    return math.prod(int(n) for n in x.shape) // int(x.shape[1])


def padding_of(op: operators.Window, x: Any) -> operators.Sides:
    """Return the padding (top, left, bottom, right) of a window over a map."""
    return op.resolved((int(x.shape[2]), int(x.shape[3])))


def enlarged(ns: Namespace, x: Any, sides: operators.Sides, how: str) -> Any:
    """Pad a map with copies: of its ``"edge"``, ``"mirrored"``, or of the other side."""
    top, left, bottom, right = sides
    for axis, before, after in ((2, top, bottom), (3, left, right)):
        n = int(x.shape[axis])
        places = list(range(-before, n + after))
        if how == "edge":
            places = [min(max(i, 0), n - 1) for i in places]
        elif how == "mirrored":
            places = [min(abs(i), n - 1) if i < n else max(2 * n - 2 - i, 0) for i in places]
        else:
            places = [i % n for i in places]
        x = ns.take(x, places, axis)
    return x


def with_zeros(ns: Namespace, x: Any, sides: operators.Sides) -> Any:
    """Pad a map with zeros."""
    top, left, bottom, right = sides
    rows = [0.0] * top + [1.0] * int(x.shape[2]) + [0.0] * bottom
    columns = [0.0] * left + [1.0] * int(x.shape[3]) + [0.0] * right
    inside = ns.array([[[[a * b for b in columns] for a in rows]]], x)
    return enlarged(ns, x, sides, "edge") * inside
