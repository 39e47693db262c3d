"""Mistakes in what networks of tokens compute with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zoo.arch.operators import (
    MatMul,
    ScaledDotProductAttention,
    Softmax,
)
from zoo.proof.mutants.arithmetic import gradient_of, rolled
from zoo.proof.mutants.axes import moves, weight
from zoo.proof.mutants.mutation import (
    Mutation,
    Site,
    simple,
)
from zoo.proof.mutants.pieces import (
    Change,
    alike,
    attribute,
    cut_inputs,
    distinct,
    function,
    turned,
)
from zoo.proof.mutants.token_norms import token_norms


def softmax() -> Iterator[Mutation]:
    """Softmax."""
    kind = Softmax
    yield attribute(
        kind, "along another axis",
        lambda s: replace(s.op, dim=s.op.dim - 1 if s.op.dim > 1 else s.op.dim + 1)
        if len(s.inputs[0]) > 2 else None, "dim",
    )  # fmt: skip
    yield simple(kind, "scores × 1.001", lambda ns, layer, x, op: layer(x * 1.001))
    yield simple(kind, "left out", lambda ns, layer, x, op: x * 1.0)
    yield simple(
        kind, "gradient of the sum cut",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), ns.detach(layer(x)) * x),
        level="gradients",
    )  # fmt: skip


def matmul() -> Iterator[Mutation]:
    """MatMul."""
    kind = MatMul
    yield function(kind, "first twice", lambda ns, layer, x, op, held: layer(x[0], x[0]),
                    when=alike)  # fmt: skip
    yield function(kind, "order exchanged", lambda ns, layer, x, op, held: layer(x[1], x[0]),
                    when=alike)  # fmt: skip
    yield function(
        kind, "second transposed", lambda ns, layer, x, op, held: layer(x[0], turned(ns, x[1])),
        when=lambda s: s.inputs[1][-1] == s.inputs[1][-2] > 1,
    )  # fmt: skip
    yield function(
        kind, "second scaled by 0.999", lambda ns, layer, x, op, held: layer(x[0], x[1] * 0.999)
    )
    yield from cut_inputs(kind, {0: "first", 1: "second"})


def _in_order(order: tuple[int, ...]) -> Change:
    return lambda ns, layer, x, op, held: layer(*(x[i] for i in order), *x[3:])


def attention() -> Iterator[Mutation]:
    """ScaledDotProductAttention."""
    kind = ScaledDotProductAttention
    yield attribute(kind, "not scaled", lambda s: replace(s.op, scale=1.0), "scale")
    yield attribute(
        kind,
        "scale off by a thousandth",
        lambda s: replace(s.op, scale=s.op.scale * 1.001),
        "scale",
    )
    yield attribute(kind, "scaled twice", lambda s: replace(s.op, scale=s.op.scale**2), "scale")
    for names, order in {"q and k": (1, 0, 2), "k and v": (0, 2, 1), "q and v": (2, 1, 0)}.items():
        yield function(
            kind, f"{names} exchanged", _in_order(order),
            when=lambda s: len(set(s.inputs[:3])) == 1 and distinct(s),
        )  # fmt: skip

    def masked(site: Site) -> bool:
        return len(site.inputs) == 4

    yield function(kind, "mask left out", lambda ns, layer, x, op, held: layer(*x[:3]), when=masked)
    yield function(
        kind, "mask subtracted", lambda ns, layer, x, op, held: layer(*x[:3], -x[3]), when=masked
    )
    yield function(
        kind, "keys of the next head", when=lambda s: len(s.inputs[0]) > 3 and s.inputs[0][1] > 1,
        change=lambda ns, layer, x, op, held: layer(x[0], rolled(ns, x[1], 1), *x[2:]),
    )  # fmt: skip
    yield from cut_inputs(kind, {0: "q", 1: "k", 2: "v", 3: "mask"})


def tokens() -> Iterator[Mutation]:
    """Return the mutations of what networks of tokens compute with."""
    for kind in (token_norms, softmax, matmul, attention, weight, moves):
        yield from kind()
