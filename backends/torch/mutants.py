"""Operators whose function has been changed by hand, for proofs that have to see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from backends.torch.operators import OPERATORS, layer
from zoo.arch import Shape


class Arithmetic:
    """See `zoo.proof.mutants.mutation.Namespace`."""

    def array(self, values: Any, like: Any) -> Any:
        return torch.tensor(values, dtype=like.dtype)

    def detach(self, x: Any) -> Any:
        return x.detach()

    def take(self, x: Any, indices: list[int], axis: int) -> Any:
        return x.index_select(axis, torch.tensor(indices))

    def cat(self, xs: list[Any], axis: int) -> Any:
        return torch.cat(xs, axis)

    def permute(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.permute(axes).contiguous()

    def mean(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.mean(axes, keepdim=True)

    def exp(self, x: Any) -> Any:
        return torch.exp(x)

    def step(self, x: Any) -> Any:
        return (x > 0).to(x.dtype)

    def half(self, x: Any) -> Any:
        return x.half().to(x.dtype)

    def copy(self, x: Any) -> Any:
        return x.detach().clone()

    def assign(self, held: Any, value: Any) -> None:
        held.data.copy_(value)  # unnoticed by autograd, as a framework's own update is


def _make(op: Any, shape: Shape) -> nn.Module:
    made = layer(op.layer, shape)
    original = made.forward

    def forward(*inputs: torch.Tensor) -> torch.Tensor:
        held = {role: getattr(made, role) for role in op.parameters()}
        return op.body(Arithmetic(), original, inputs, op.inner, held, made.training)

    # The layer's own forward alone is changed: its parameters stay under the names they have.
    setattr(made, "forward", forward)  # noqa: B010
    return made


@contextmanager
def admits(kind: type[Any]) -> Iterator[None]:
    """Let graphs hold changed operators while the body runs.

    Args:
        kind: their type; it has ``inner`` (the operator that it stands for), ``layer`` (what the
            original is built of) and ``body`` (the function).
    """
    OPERATORS[kind] = _make
    try:
        yield
    finally:
        del OPERATORS[kind]
