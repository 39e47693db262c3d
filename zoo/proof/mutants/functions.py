"""Mistakes in functions of one number that have values of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import (
    ELU,
    GELU,
    AddScalar,
    Clamp,
    Exp,
    LeakyReLU,
    Mish,
    MulScalar,
    Pow,
    PReLU,
    ReLU,
    SiLU,
    Tanh,
)
from zoo.proof.mutants.arithmetic import at_most, clip, cut, gradient_of, positive, sigmoid
from zoo.proof.mutants.mutation import Arrays, Attribute, Held, Mutation, Namespace, Site, simple

Form = Callable[[Namespace, Any, Any], Any]
"""A function of the input and the operator."""


def _instead(kind: type, name: str, form: Form, *covers: str, **more: Any) -> Mutation:
    return simple(kind, name, lambda ns, layer, x, op: form(ns, x, op), covers=covers, **more)


def _gradient(kind: type, name: str, form: Form, *covers: str, **more: Any) -> Mutation:
    """The right value with the gradient of another function."""
    return simple(
        kind, name, lambda ns, layer, x, op: gradient_of(ns, layer(x), form(ns, x, op)),
        covers=covers, level="gradients", **more,
    )  # fmt: skip


def _cut(kind: type, name: str, where: Form, *covers: str, **more: Any) -> Mutation:
    """The right value without a gradient where a function is 1."""
    return simple(
        kind, name, lambda ns, layer, x, op: cut(ns, layer(x), ns.detach(where(ns, x, op))),
        covers=covers, level="gradients", **more,
    )  # fmt: skip


def _other(kind: type[Operator], name: str, make: Callable[[Any], Operator], *covers: str) -> Any:
    """Another operator in its place."""

    def made(site: Site) -> Operator:
        return make(site.op)

    return Attribute(name=name, op=kind, covers=covers or ("function",), make=made)


def _cut_at_zero(kind: type, *regions: str) -> Iterator[Mutation]:
    yield _cut(kind, "gradient cut below zero", lambda ns, x, op: ns.step(-x), *regions[:1])
    yield _cut(kind, "gradient cut above zero", lambda ns, x, op: ns.step(x), *regions[1:])


def _tanh(ns: Namespace, x: Any) -> Any:
    return 2 * sigmoid(ns, 2 * x) - 1


def _bent(x: Any) -> Any:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


def gelu() -> Iterator[Mutation]:
    """GELU, which has no kinks."""
    kind = GELU
    forms = ("none", "tanh")
    yield _other(
        kind, "the other form", lambda op: replace(op, approximate=forms[op.approximate == "none"]),
        "approximate",
    )  # fmt: skip
    yield _other(kind, "SiLU in its place", lambda op: SiLU())
    yield _instead(kind, "by a sigmoid", lambda ns, x, op: x * sigmoid(ns, 1.702 * x))
    yield _instead(
        kind, "the tanh form without its cube",
        lambda ns, x, op: x * sigmoid(ns, 2 * math.sqrt(2 / math.pi) * x),
    )  # fmt: skip
    yield _instead(kind, "not halved", lambda ns, x, op: 2 * x * sigmoid(ns, 2 * _bent(x)))
    yield _gradient(kind, "gradient is that of SiLU", lambda ns, x, op: x * sigmoid(ns, x))
    yield _gradient(
        kind, "gradient of the gate left out",
        lambda ns, x, op: x * ns.detach(sigmoid(ns, 2 * _bent(x))),
    )  # fmt: skip
    yield from _cut_at_zero(kind)


def _slope(x: Any, slope: float) -> Any:
    return positive(x) - slope * positive(-x)


def leaky_relu() -> Iterator[Mutation]:
    """LeakyReLU: region 0 below zero, region 1 above."""
    kind = LeakyReLU
    below, above = ("negative_slope", "region 0"), "region 1"
    yield _other(kind, "ReLU in its place", lambda op: ReLU(), *below)
    yield _other(
        kind, "PyTorch's default slope", lambda op: replace(op, negative_slope=0.01), *below
    )
    yield _other(kind, "ELU in its place", lambda op: ELU(alpha=1.0), *below)
    yield _instead(
        kind, "slope of the other sign", lambda ns, x, op: _slope(x, -op.negative_slope), *below
    )
    yield _instead(
        kind, "slope above zero", lambda ns, x, op: -_slope(-x, op.negative_slope), *below, above
    )
    yield _instead(
        kind, "one less the slope", lambda ns, x, op: _slope(x, 1 - op.negative_slope), *below
    )
    yield _gradient(kind, "gradient passes below zero", lambda ns, x, op: x * 1.0, "region 0")
    yield _gradient(kind, "gradient is that of ReLU", lambda ns, x, op: positive(x), "region 0")
    yield from _cut_at_zero(kind, "region 0", above)


def _changed(change: Callable[[Any], Any], held: Held, op: Any) -> Held:
    return {"weight": change(held["weight"])}


def prelu() -> Iterator[Mutation]:
    """PReLU: region 0 below zero, region 1 above."""
    kind = PReLU
    below = ("weight", "region 0")
    changes: dict[str, Callable[[Any], Any]] = {
        "slopes of another order": lambda weight: weight[::-1],
        "the mean slope for all channels": lambda weight: weight * 0 + weight.mean(),
        "initial slopes": lambda weight: weight * 0 + 0.25,
        "slopes of the other sign": lambda weight: -weight,
    }
    for name, change in changes.items():
        yield Arrays(
            name=name,
            op=kind,
            covers=("weight", "num_parameters"),
            change=partial(_changed, change),
            when=lambda site: site.op.num_parameters > 1,
        )
    yield _instead(kind, "ReLU in its place", lambda ns, x, op: positive(x), *below)
    yield _gradient(kind, "gradient passes below zero", lambda ns, x, op: x * 1.0, "region 0")
    yield _gradient(kind, "gradient without the slopes", lambda ns, x, op: positive(x), "region 0")
    yield from _cut_at_zero(kind, "region 0", "region 1")


def _elu(ns: Namespace, x: Any, alpha: float) -> Any:
    return positive(x) + alpha * (ns.exp(-positive(-x)) - 1)


def elu() -> Iterator[Mutation]:
    """ELU."""
    kind = ELU
    yield _instead(
        kind, "alpha ignored", lambda ns, x, op: _elu(ns, x, 1.0), "alpha",
        when=lambda site: site.op.alpha != 1,
    )  # fmt: skip
    yield _instead(kind, "half of alpha", lambda ns, x, op: _elu(ns, x, op.alpha / 2), "alpha")
    yield _instead(
        kind, "alpha within (CELU)",
        lambda ns, x, op: positive(x) + op.alpha * (ns.exp(-positive(-x) / op.alpha) - 1),
        "alpha", when=lambda site: site.op.alpha != 1,
    )  # fmt: skip
    yield _other(kind, "ReLU in its place", lambda op: ReLU())
    yield _other(kind, "LeakyReLU in its place", lambda op: LeakyReLU(negative_slope=op.alpha / 9))
    yield _gradient(kind, "gradient passes below zero", lambda ns, x, op: x * 1.0)
    yield from _cut_at_zero(kind)


def tanh() -> Iterator[Mutation]:
    """Tanh, which has no kinks."""
    kind = Tanh
    yield _instead(kind, "sigmoid in its place", lambda ns, x, op: sigmoid(ns, x))
    yield _instead(kind, "half as steep", lambda ns, x, op: _tanh(ns, x / 2))
    yield _instead(kind, "clipped", lambda ns, x, op: clip(x, -1, 1))
    yield _instead(kind, "Taylor's third order", lambda ns, x, op: x - x * x * x / 3)
    yield _instead(kind, "steeper by a thousandth", lambda ns, x, op: _tanh(ns, 1.001 * x))
    yield _gradient(kind, "gradient at zero everywhere", lambda ns, x, op: x * 1.0)
    yield from _cut_at_zero(kind)


def exp() -> Iterator[Mutation]:
    """The exponential function, which has no kinks."""
    kind = Exp
    yield _instead(kind, "powers of two", lambda ns, x, op: ns.exp(math.log(2) * x))
    yield _instead(kind, "less one", lambda ns, x, op: ns.exp(x) - 1)
    yield _instead(
        kind, "Taylor's third order", lambda ns, x, op: 1 + x + x * x / 2 + x * x * x / 6
    )
    yield _instead(kind, "steeper by a thousandth", lambda ns, x, op: ns.exp(1.001 * x))
    yield _gradient(kind, "gradient of one", lambda ns, x, op: x * 1.0)
    yield from _cut_at_zero(kind)


def powers() -> Iterator[Mutation]:
    """Powers, of positive values."""
    kind = Pow
    changes = {"upside down": -1, "half of the exponent": 0.5, "off by a thousandth": 1.001}
    for name, factor in changes.items():

        def other(op: Any, factor: float = factor) -> Operator:
            return cast(Operator, replace(op, exponent=op.exponent * factor))

        yield _other(kind, name, other, "exponent", "function")
    yield _instead(kind, "left out", lambda ns, x, op: x * 1.0, "exponent")
    yield _instead(kind, "tangent at one", lambda ns, x, op: 1 + op.exponent * (x - 1))
    yield _gradient(kind, "gradient of one", lambda ns, x, op: x * 1.0)
    yield _gradient(kind, "gradient not multiplied", lambda ns, x, op: x**op.exponent / op.exponent)


def _mish(ns: Namespace, x: Any) -> Any:
    e = ns.exp(at_most(x, 20))
    return x * (e * (e + 2)) / (e * (e + 2) + 2)


def mish() -> Iterator[Mutation]:
    """Mish, which has no kinks."""
    kind = Mish
    yield _other(kind, "SiLU in its place", lambda op: SiLU())
    yield _other(kind, "GELU in its place", lambda op: GELU(approximate="none"))
    yield _instead(kind, "steeper by a thousandth", lambda ns, x, op: _mish(ns, 1.001 * x))
    yield _instead(kind, "gate upside down", lambda ns, x, op: -_mish(ns, -x))
    yield _gradient(kind, "gradient is that of SiLU", lambda ns, x, op: x * sigmoid(ns, x))
    yield from _cut_at_zero(kind)


def _ends(op: Clamp, low: float = 0.0, high: float = 0.0) -> Any:
    """Return the function of a clamp with its ends moved."""
    a = -math.inf if op.min_val is None else op.min_val + low
    b = math.inf if op.max_val is None else op.max_val + high

    def form(x: Any) -> Any:
        x = x if a == -math.inf else a + positive(x - a)
        return x if b == math.inf else at_most(x, b)

    return form


def clamp() -> Iterator[Mutation]:
    """Clamp, whose regions depend on the ends that it has."""
    kind = Clamp
    low, high = ("min_val", "region 0"), ("max_val", "region 2")
    yield _instead(kind, "lower end off by 0.01", lambda ns, x, op: _ends(op, 0.01)(x), *low)
    yield _instead(kind, "upper end off by 0.01", lambda ns, x, op: _ends(op, 0, -0.01)(x), *high)
    yield _instead(kind, "lower end left out", lambda ns, x, op: _ends(op, -math.inf)(x), *low)
    yield _instead(kind, "upper end left out", lambda ns, x, op: _ends(op, 0, math.inf)(x), *high)
    yield _instead(
        kind, "zero beyond the ends",
        lambda ns, x, op: x * (1 - ns.step(abs(x - _ends(op)(x)))), "min_val", "max_val",
    )  # fmt: skip
    yield _gradient(kind, "gradient passes everywhere", lambda ns, x, op: x * 1.0)
    yield _cut(kind, "gradient cut between", lambda ns, x, op: 1 - ns.step(abs(x - _ends(op)(x))))


def _thousandth(op: Any) -> Operator:
    return cast(Operator, replace(op, value=op.value * 1.001))


def scalars() -> Iterator[Mutation]:
    """AddScalar and MulScalar."""
    add, mul = AddScalar, MulScalar
    yield _other(add, "subtracted", lambda op: replace(op, value=-op.value), "value")
    yield _other(add, "not added", lambda op: replace(op, value=0.0), "value")
    yield _other(
        add, "off by a thousandth", lambda op: replace(op, value=op.value * 1.001), "value"
    )
    yield _other(add, "multiplied", lambda op: MulScalar(value=op.value))
    yield _instead(add, "subtracted from it", lambda ns, x, op: op.value - x, "value")
    yield _gradient(add, "gradient turned around", lambda ns, x, op: -x)
    yield _other(mul, "divided", lambda op: replace(op, value=1 / op.value), "value")
    yield _other(mul, "of the other sign", lambda op: replace(op, value=-op.value), "value")
    yield _other(mul, "not multiplied", lambda op: replace(op, value=1.0), "value")
    yield _other(
        mul, "off by a thousandth", lambda op: replace(op, value=op.value * 1.001), "value"
    )
    yield _other(mul, "added", lambda op: AddScalar(value=op.value))
    yield _gradient(mul, "gradient not multiplied", lambda ns, x, op: x * 1.0)


def functions() -> Iterator[Mutation]:
    """Return the mutations of all of them."""
    for mutations in (gelu, leaky_relu, prelu, elu, tanh, exp, powers, mish, clamp, scalars):
        yield from mutations()
