"""Mistakes in moves along axes, and in arrays that are values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from zoo.arch.operators import (
    ConcatAlong,
    Expand,
    Index,
    Narrow,
    Permute,
    Reshape,
    Roll,
    Weight,
)
from zoo.proof.mutants.arithmetic import flipped, gradient_of, last, positive
from zoo.proof.mutants.mutation import (
    Arrays,
    Function,
    Mutation,
    simple,
)
from zoo.proof.mutants.pieces import (
    attribute,
    distinct,
    function,
    square,
    turned,
)


def weight() -> Iterator[Mutation]:
    """Weight."""
    kind = Weight

    def arrays(name: str, change: Callable[[np.ndarray], np.ndarray], *covers: str) -> Arrays:
        return Arrays(
            name=name, op=kind, covers=("weight", *covers),
            change=lambda held, op: {"weight": change(held["weight"])},
        )  # fmt: skip

    yield arrays("negated", np.negative)
    yield arrays("zeros", np.zeros_like)
    yield arrays("rolled by one", lambda w: np.roll(w, 1), "shape")
    yield arrays("last value off by a thousandth", _raised, "value")
    yield function(
        kind, "not trained", lambda ns, layer, x, op, held: ns.detach(layer()), "trainable",
        level="gradients", when=lambda s: s.op.trainable,
    )  # fmt: skip


def _raised(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flat[-1] += 1e-3 * (1 + abs(array.flat[-1]))
    return array


def moves() -> Iterator[Mutation]:
    """Return the mutations of what moves values along axes."""
    fields = {Permute: "dims", Reshape: "shape", Index: "dim", Narrow: "dim", ConcatAlong: "dim"}
    for kind, field in fields.items():
        yield Function(
            name="last axes exchanged before", op=kind, covers=(field,), when=square,
            body=lambda ns, layer, x, op, held, training: layer(*(turned(ns, v) for v in x)),
        )  # fmt: skip
        yield Function(
            name="in reverse", op=kind, when=lambda s: s.output[1] > 1,
            body=lambda ns, layer, x, op, held, training: flipped(ns, layer(*x), 1),
        )  # fmt: skip
        yield Function(
            name="gradient in reverse", op=kind, level="gradients", when=lambda s: s.output[1] > 1,
            body=lambda ns, layer, x, op, held, training: gradient_of(
                ns, layer(*x), flipped(ns, layer(*x), 1)
            ),
        )  # fmt: skip
    yield function(
        ConcatAlong, "inputs in reverse", lambda ns, layer, x, op, held: layer(*x[::-1]),
        when=distinct,
    )  # fmt: skip
    yield attribute(Index, "indices rolled by one", lambda s: replace(
        s.op, indices=(s.op.indices[-1], *s.op.indices[:-1])), "indices")  # fmt: skip
    yield attribute(Narrow, "one place further", lambda s: replace(
        s.op, start=s.op.start + 1, stop=s.op.stop + 1)
        if s.op.stop < s.inputs[0][s.op.dim] else None, "start", "stop")  # fmt: skip
    yield attribute(Narrow, "one place before", lambda s: replace(
        s.op, start=s.op.start - 1, stop=s.op.stop - 1) if s.op.start else None,
        "start", "stop")  # fmt: skip
    yield attribute(Narrow, "side by side", lambda s: replace(
        s.op, step=1, stop=s.op.start + s.output[s.op.dim]) if s.op.step > 1 else None,
        "step")  # fmt: skip
    yield attribute(Roll, "to the other side", lambda s: replace(
        s.op, shifts=tuple(-n for n in s.op.shifts)), "shifts")  # fmt: skip
    yield attribute(Roll, "one place further", lambda s: replace(
        s.op, shifts=(s.op.shifts[0] + 1, *s.op.shifts[1:])), "shifts")  # fmt: skip
    yield attribute(Roll, "axes exchanged", lambda s: replace(
        s.op, dims=s.op.dims[::-1]), "dims")  # fmt: skip
    yield simple(Roll, "left out", lambda ns, layer, x, op: x * 1.0)
    yield simple(
        Roll, "gradient rolled as well",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), layer(layer(x))), level="gradients",
    )  # fmt: skip
    yield function(
        Expand, "last value off by a thousandth",
        lambda ns, layer, x, op, held: layer(*x) + 0.001 * last(ns, layer(*x), len(x[0].shape) - 1),
    )  # fmt: skip
    yield function(Expand, "a ReLU after it", lambda ns, layer, x, op, held: positive(layer(*x)))
    yield function(
        Expand, "gradient of the first image alone", level="gradients",
        change=lambda ns, layer, x, op, held: gradient_of(
            ns, layer(*x), layer(*x) * last(ns, layer(*x), 0)
        ),
    )  # fmt: skip
