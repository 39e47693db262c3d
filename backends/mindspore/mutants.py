"""Operators whose function has been changed by hand, for proofs that have to see it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from backends.mindspore import live
from backends.mindspore.operators import OPERATORS, layer
from backends.mindspore.run import pynative
from zoo.arch import Shape


class Arithmetic:
    """See `zoo.proof.mutants.mutation.Namespace`."""

    def array(self, values: Any, like: Any) -> Any:
        return Tensor(np.array(values), like.dtype)

    def detach(self, x: Any) -> Any:
        return ops.stop_gradient(x)

    def take(self, x: Any, indices: list[int], axis: int) -> Any:
        return ops.gather(x, Tensor(np.array(indices), ms.int32), axis)

    def cat(self, xs: list[Any], axis: int) -> Any:
        return ops.cat(xs, axis)

    def permute(self, x: Any, axes: tuple[int, ...]) -> Any:
        return ops.transpose(x, axes)

    def mean(self, x: Any, axes: tuple[int, ...]) -> Any:
        return ops.mean(x, axes, keep_dims=True)

    def exp(self, x: Any) -> Any:
        return ops.exp(x)

    def step(self, x: Any) -> Any:
        return (x > 0).astype(x.dtype)

    def half(self, x: Any) -> Any:
        return x.astype(ms.float16).astype(x.dtype)

    def copy(self, x: Any) -> Any:
        return Tensor(x.asnumpy().copy())

    def assign(self, held: Any, value: Any) -> None:
        ops.assign(held, value)


def _make(op: Any, shape: Shape) -> nn.Cell:
    cell = layer(op.layer, shape)
    # The Cell's own code alone is changed: its parameters stay under the names they have.
    kind: Any = type(cell)
    cell.__class__ = _class(op, kind)
    return cell


@functools.lru_cache(maxsize=8)
def _class(op: Any, kind: Any) -> type:
    def construct(self: Any, *inputs: Tensor) -> Any:
        names = live.suffixes(op)
        held = {role: getattr(self, names.get(role, role)) for role in op.parameters()}

        def original(*values: Tensor) -> Any:
            return kind.construct(self, *values)

        return op.body(Arithmetic(), original, inputs, op.inner, held, self.training)

    return type(kind.__name__, (kind,), {"construct": construct})


@contextmanager
def admits(kind: type[Any]) -> Iterator[None]:
    """Let graphs hold changed operators while the body runs, which it does in PyNative mode.

    Args:
        kind: their type; it has ``inner`` (the operator that it stands for), ``layer`` (what the
            original is built of) and ``body`` (the function).
    """
    OPERATORS[kind] = _make
    live.MEANT[kind] = lambda op: op.inner
    try:
        with pynative():
            yield
    finally:
        del OPERATORS[kind]
        del live.MEANT[kind]
