"""Operators whose function has been changed by hand, for proofs that have to see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backends.numpy.operators import OPERATORS, apply


class Arithmetic:
    """See `zoo.proof.mutants.mutation.Namespace`."""

    def array(self, values: Any, like: Any) -> Any:
        return np.asarray(values, like.dtype)

    def detach(self, x: Any) -> Any:
        return x

    def take(self, x: Any, indices: list[int], axis: int) -> Any:
        return np.take(x, indices, axis)

    def cat(self, xs: list[Any], axis: int) -> Any:
        return np.concatenate(xs, axis)

    def permute(self, x: Any, axes: tuple[int, ...]) -> Any:
        return np.ascontiguousarray(x.transpose(axes))

    def mean(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.mean(axes, keepdims=True)

    def exp(self, x: Any) -> Any:
        return np.exp(x)

    def step(self, x: Any) -> Any:
        return (x > 0).astype(x.dtype)

    def half(self, x: Any) -> Any:
        return x.astype(np.float16).astype(x.dtype)

    def copy(self, x: Any) -> Any:
        return x.copy()

    def assign(self, held: Any, value: Any) -> None:
        held[...] = value


def _apply(op: Any, inputs: list[Any], held: dict[str, Any], training: bool) -> np.ndarray:
    def layer(*values: Any) -> Any:
        return apply(op.layer, list(values), held, training)

    found = op.body(Arithmetic(), layer, tuple(inputs), op.inner, held, training)
    like = inputs[0] if inputs else next(iter(held.values()))
    return np.asarray(found, like.dtype)


@contextmanager
def admits(kind: type[Any]) -> Iterator[None]:
    """Let graphs hold changed operators while the body runs.

    Args:
        kind: their type; it has ``inner`` (the operator that it stands for), ``layer`` (what the
            original is built of) and ``body`` (the function).
    """
    OPERATORS[kind] = _apply
    try:
        yield
    finally:
        del OPERATORS[kind]
