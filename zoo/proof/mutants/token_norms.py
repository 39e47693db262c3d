"""Mistakes in the normalizations of each image by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import (
    GroupNorm,
    LayerNorm,
    Normalize,
)
from zoo.proof.mutants.mutation import (
    Arrays,
    Mutation,
    Namespace,
    simple,
)
from zoo.proof.mutants.pieces import (
    Change,
    attribute,
    function,
)


def _epsilons(kind: type[Operator]) -> Iterator[Mutation]:
    yield attribute(kind, "eps × 10", lambda s: replace(s.op, eps=s.op.eps * 10), "eps")
    yield attribute(kind, "eps forgotten", lambda s: replace(s.op, eps=1e-12), "eps")


def _affine(kind: type[Operator], *covers: str) -> Iterator[Mutation]:
    def arrays(name: str, **changes: Callable[[Any], np.ndarray]) -> Arrays:
        return Arrays(
            name=name, op=kind, covers=(*changes, *covers), when=lambda s: bool(s.op.parameters()),
            change=lambda held, op: {role: change(held) for role, change in changes.items()},
        )  # fmt: skip

    yield arrays("gamma forgotten", weight=lambda h: np.ones_like(h["weight"]))
    yield arrays("beta forgotten", bias=lambda h: np.zeros_like(h["bias"]))
    yield arrays("gamma and beta exchanged", weight=lambda h: h["bias"], bias=lambda h: h["weight"])
    for role in ("weight", "bias"):
        yield arrays(
            f"{role} rolled by one", **{role: lambda h, role=role: np.roll(h[role], 1, -1)}
        )
        yield function(
            kind, f"gradient to the {role} cut", _frozen(role), role, level="gradients",
            when=lambda s: bool(s.op.parameters()),
        )  # fmt: skip


def _frozen(role: str) -> Change:
    def change(ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any) -> Any:
        y = layer(x[0])
        shape = (1, -1, *(1,) * (len(y.shape) - 2)) if isinstance(op, GroupNorm) else None
        now, shift = (held[r].reshape(shape) if shape else held[r] for r in (role, "bias"))
        if role == "bias":
            return y - now + ns.detach(now)
        normal = ns.detach((y - shift) / now)
        return y - normal * now + ns.detach(normal * now)

    return change


def layer_norm() -> Iterator[Mutation]:
    """LayerNorm."""
    kind = LayerNorm
    yield from _epsilons(kind)
    yield from _affine(kind, "affine")

    def moments(ns: Namespace, x: Any, op: Any) -> tuple[Any, Any]:
        axes = tuple(range(len(x.shape) - len(op.normalized_shape), len(x.shape)))
        mean = ns.mean(x, axes)
        return mean, ns.mean((x - mean) * (x - mean), axes)

    def done(x: Any, mean: Any, var: Any, op: Any, held: Any) -> Any:
        y = (x - mean) / (var + op.eps) ** 0.5
        return y * held["weight"] + held["bias"] if op.affine else y

    def unbiased(ns: Namespace, layer: Any, x: Any, op: Any, held: Any) -> Any:
        mean, var = moments(ns, x[0], op)
        count = int(np.prod(op.normalized_shape))
        return done(x[0], mean, var * (count / (count - 1)), op, held)

    def detached(ns: Namespace, layer: Any, x: Any, op: Any, held: Any) -> Any:
        mean, var = moments(ns, x[0], op)
        return done(x[0], ns.detach(mean), ns.detach(var), op, held)

    def uncentered(ns: Namespace, layer: Any, x: Any, op: Any, held: Any) -> Any:
        mean, var = moments(ns, x[0], op)
        return done(x[0], 0 * mean, var + mean * mean, op, held)

    def of_all(ns: Namespace, layer: Any, x: Any, op: Any, held: Any) -> Any:
        mean, var = moments(ns, x[0], op)
        axes = tuple(range(1, len(x[0].shape)))
        return done(x[0], ns.mean(mean, axes), ns.mean(var, axes), op, held)

    yield function(kind, "unbiased variance", unbiased)
    yield function(kind, "mean not taken away", uncentered)
    yield function(
        kind, "over the axes before as well", of_all, "normalized_shape",
        when=lambda s: len(s.inputs[0]) > 1 + len(s.op.normalized_shape),
    )  # fmt: skip
    yield function(kind, "gradient of the statistics cut", detached, level="gradients")


def group_norm() -> Iterator[Mutation]:
    """GroupNorm."""
    kind = GroupNorm
    yield from _epsilons(kind)
    yield from _affine(kind, "num_channels")
    yield attribute(
        kind, "one group",
        lambda s: replace(s.op, num_groups=1) if s.op.num_groups > 1 else None, "num_groups",
    )  # fmt: skip


def normalize() -> Iterator[Mutation]:
    """Normalize."""
    kind = Normalize
    yield from _epsilons(kind)
    yield attribute(
        kind, "along the axis before",
        lambda s: replace(s.op, dim=s.op.dim - 1) if s.op.dim > 1 else None, "dim",
    )  # fmt: skip
    yield simple(kind, "left out", lambda ns, layer, x, op: x * 1.0)
    yield simple(
        kind, "gradient of the length cut",
        lambda ns, layer, x, op: x * ns.detach(layer(x) / x), level="gradients",
    )  # fmt: skip


def token_norms() -> Iterator[Mutation]:
    """Return the mutations of these normalizations."""
    for kind in (layer_norm, group_norm, normalize):
        yield from kind()
