"""Mistakes in activations: in every region of the function, at its kinks and in its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU
from zoo.proof.mutants.arithmetic import at_most, clip, cut, gradient_of, positive, sigmoid
from zoo.proof.mutants.mutation import Attribute, Function, Mutation, Namespace, Site, simple

Plain = Callable[[Namespace, Any], Any]
"""A function of the input alone."""


def _instead(op: type, name: str, plain: Plain, *regions: int) -> Function:
    return simple(op, name, lambda ns, layer, x, op: plain(ns, x), covers=_regions(regions))


def _gradient(op: type, name: str, plain: Plain, *regions: int) -> Function:
    """The right value with the gradient of another function."""
    return simple(
        op,
        name,
        lambda ns, layer, x, op: gradient_of(ns, layer(x), plain(ns, x)),
        covers=_regions(regions),
        level="gradients",
    )


def _cut(op: type, name: str, where: Plain, *regions: int) -> Function:
    """The right value without a gradient where a function is 1."""
    return simple(
        op,
        name,
        lambda ns, layer, x, op: cut(ns, layer(x), ns.detach(where(ns, x))),
        covers=_regions(regions),
        level="gradients",
    )


def _regions(numbers: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"region {number}" for number in numbers)


def _within(ns: Namespace, x: Any, low: float, high: float) -> Any:
    return ns.step(x - low) * ns.step(high - x)


def _exchanged(kind: type, others: tuple[type, ...]) -> Iterator[Attribute]:
    def replaced(other: type) -> Callable[[Site], Operator]:
        return lambda site: cast(Operator, other())

    for other in others:
        yield Attribute(
            name=f"{other.__name__} in its place",
            op=kind,
            covers=("function",),
            make=replaced(other),
        )


def relu() -> Iterator[Mutation]:
    """ReLU: region 0 below zero, region 1 above."""
    yield _instead(ReLU, "leaky, 0.01", lambda ns, x: positive(x) - 0.01 * positive(-x), 0)
    yield _instead(ReLU, "leaky, 0.001", lambda ns, x: positive(x) - 0.001 * positive(-x), 0)
    yield _instead(ReLU, "without a clip", lambda ns, x: x * 1.0, 0)
    yield _instead(ReLU, "the absolute value", lambda ns, x: abs(x), 0)
    yield _instead(ReLU, "clipped on the other side", lambda ns, x: -positive(-x), 0, 1)
    yield _instead(ReLU, "kink at 0.01", lambda ns, x: positive(x - 0.01), 1)
    yield _instead(ReLU, "kink at -0.01", lambda ns, x: positive(x + 0.01) - 0.01, 0)
    yield _instead(ReLU, "floor at 0.01", lambda ns, x: positive(x - 0.01) + 0.01, 0)
    yield _instead(ReLU, "clipped at 6", lambda ns, x: clip(x, 0, 6), 1)
    yield _instead(ReLU, "SiLU in its place", lambda ns, x: x * sigmoid(ns, x), 0, 1)
    yield _instead(
        ReLU, "ELU in its place",
        lambda ns, x: positive(x) + ns.step(-x) * (ns.exp(-positive(-x)) - 1), 0,
    )  # fmt: skip
    yield _instead(ReLU, "slope 0.999", lambda ns, x: positive(x) * 0.999, 1)
    yield _gradient(ReLU, "gradient passes below zero", lambda ns, x: x * 1.0, 0)
    yield _gradient(
        ReLU, "gradient leaks below zero", lambda ns, x: positive(x) - 0.01 * positive(-x), 0
    )
    yield _cut(ReLU, "gradient cut above zero", lambda ns, x: ns.step(x), 1)
    yield from _exchanged(ReLU, (ReLU6, HardSwish, HardSigmoid, Sigmoid))


def relu6() -> Iterator[Mutation]:
    """ReLU6: region 0 below zero, region 1 between, region 2 above 6."""
    op = ReLU6
    yield _instead(op, "without the upper clip", lambda ns, x: positive(x), 2)
    yield _instead(op, "without the lower clip", lambda ns, x: at_most(x, 6), 0)
    yield _instead(op, "without any clip", lambda ns, x: x * 1.0, 0, 2)
    yield _instead(op, "leaky, 0.01", lambda ns, x: clip(x, 0, 6) - 0.01 * positive(-x), 0)
    yield _instead(op, "leaky above 6", lambda ns, x: clip(x, 0, 6) + 0.01 * positive(x - 6), 2)
    yield _instead(op, "kink at 5.99", lambda ns, x: clip(x, 0, 5.99), 2)
    yield _instead(op, "kink at 6.01", lambda ns, x: clip(x, 0, 6.01), 2)
    yield _instead(op, "kink at 0.01", lambda ns, x: clip(x - 0.01, 0, 6), 1)
    yield _instead(op, "floor at 0.01", lambda ns, x: clip(x, 0.01, 6), 0)
    yield _instead(op, "clipped at 1", lambda ns, x: clip(x, 0, 1), 1, 2)
    yield _instead(op, "clipped at -6 and 6", lambda ns, x: clip(x, -6, 6), 0)
    yield _instead(op, "a sixth of it", lambda ns, x: clip(x, 0, 6) / 6, 1, 2)
    yield _instead(op, "slope 0.999", lambda ns, x: clip(0.999 * x, 0, 6), 1)
    yield _gradient(op, "gradient passes below zero", lambda ns, x: at_most(x, 6), 0)
    yield _gradient(op, "gradient passes above 6", lambda ns, x: positive(x), 2)
    yield _gradient(op, "gradient passes everywhere", lambda ns, x: x * 1.0, 0, 2)
    yield _cut(op, "gradient cut between", lambda ns, x: _within(ns, x, 0, 6), 1)
    yield from _exchanged(op, (ReLU, HardSwish, HardSigmoid, Sigmoid))


def hard_swish() -> Iterator[Mutation]:
    """HardSwish: region 0 below -3, region 1 between, region 2 above 3."""
    op = HardSwish
    yield _instead(op, "without the upper clip", lambda ns, x: x * positive(x + 3) / 6, 2)
    yield _instead(op, "without the lower clip", lambda ns, x: x * at_most(x + 3, 6) / 6, 0)
    yield _instead(op, "without any clip", lambda ns, x: x * (x + 3) / 6, 0, 2)
    yield _instead(op, "kinks at 3.01", lambda ns, x: x * clip(x + 3.01, 0, 6.02) / 6.02, 0, 1, 2)
    yield _instead(op, "lower kink at -2.99", lambda ns, x: x * clip(x + 3, 0.01, 6) / 6, 0)
    yield _instead(op, "upper kink at 2.99", lambda ns, x: x * clip(x + 3, 0, 5.99) / 6, 2)
    yield _instead(op, "SiLU in its place", lambda ns, x: x * sigmoid(ns, x), 0, 1, 2)
    yield _instead(op, "slope of the gate 0.2", lambda ns, x: x * clip(0.2 * x + 0.5, 0, 1), 1)
    yield _instead(op, "linear above zero", lambda ns, x: positive(x) + (1 - ns.step(x)) * (
        x * clip(x + 3, 0, 6) / 6), 1)  # fmt: skip
    yield _instead(op, "leaky below -3", lambda ns, x: x * clip(x + 3, 0, 6) / 6
                   - 0.01 * positive(-3 - x), 0)  # fmt: skip
    yield _instead(op, "constant above 3", lambda ns, x: at_most(x, 3) * clip(x + 3, 0, 6) / 6, 2)
    yield _gradient(op, "gradient passes below -3", lambda ns, x: x * at_most(x + 3, 6) / 6, 0)
    yield _gradient(op, "gradient is that of ReLU", lambda ns, x: positive(x), 1)
    yield _gradient(op, "gradient is that of SiLU", lambda ns, x: x * sigmoid(ns, x), 0, 1, 2)
    yield _gradient(op, "gradient without the upper clip", lambda ns, x: x * positive(x + 3) / 6, 2)
    yield _cut(op, "gradient cut above 3", lambda ns, x: ns.step(x - 3), 2)
    yield _cut(op, "gradient cut between", lambda ns, x: _within(ns, x, -3, 3), 1)
    yield _gradient(
        op, "gradient of the gate left out", lambda ns, x: x * ns.detach(clip(x + 3, 0, 6) / 6), 1
    )
    yield from _exchanged(op, (ReLU, HardSigmoid, Sigmoid))


def hard_sigmoid() -> Iterator[Mutation]:
    """HardSigmoid: region 0 below -3, region 1 between, region 2 above 3."""
    op = HardSigmoid
    yield _instead(op, "without the upper clip", lambda ns, x: positive(x + 3) / 6, 2)
    yield _instead(op, "without the lower clip", lambda ns, x: at_most(x + 3, 6) / 6, 0)
    yield _instead(op, "without any clip", lambda ns, x: (x + 3) / 6, 0, 2)
    yield _instead(op, "kinks at 3.01", lambda ns, x: clip(x + 3.01, 0, 6.02) / 6.02, 1)
    yield _instead(op, "floor at 0.001", lambda ns, x: clip(x + 3, 0.006, 6) / 6, 0)
    yield _instead(op, "ceiling at 0.999", lambda ns, x: clip(x + 3, 0, 5.994) / 6, 2)
    yield _instead(op, "slope 0.2", lambda ns, x: clip(0.2 * x + 0.5, 0, 1), 1)
    yield _instead(op, "clipped at 2.5", lambda ns, x: clip(x, -2.5, 2.5) / 6 + 0.5, 0, 2)
    yield _instead(op, "upside down", lambda ns, x: clip(3 - x, 0, 6) / 6, 0, 1, 2)
    yield _instead(op, "tanh in its place", lambda ns, x: 2 * sigmoid(ns, 2 * x) - 1, 0, 1)
    yield _gradient(op, "gradient passes below -3", lambda ns, x: at_most(x + 3, 6) / 6, 0)
    yield _gradient(op, "gradient passes above 3", lambda ns, x: positive(x + 3) / 6, 2)
    yield _gradient(op, "gradient is that of Sigmoid", sigmoid, 0, 1, 2)
    yield _gradient(op, "gradient of slope 0.2", lambda ns, x: clip(0.2 * x, -0.6, 0.6), 1)
    yield _cut(op, "gradient cut between", lambda ns, x: _within(ns, x, -3, 3), 1)
    yield from _exchanged(op, (Sigmoid, ReLU, HardSwish))


def logistic() -> Iterator[Mutation]:
    """Sigmoid, which has no kinks."""
    op = Sigmoid
    yield _instead(op, "upside down", lambda ns, x: sigmoid(ns, -x))
    yield _instead(op, "tanh in its place", lambda ns, x: 2 * sigmoid(ns, 2 * x) - 1)
    yield _instead(op, "linear", lambda ns, x: x / 4 + 0.5)
    yield _instead(op, "steeper by a hundredth", lambda ns, x: sigmoid(ns, 1.01 * x))
    yield _instead(op, "moved by a thousandth", lambda ns, x: sigmoid(ns, x + 0.001))
    yield _instead(op, "input clipped at 0.5", lambda ns, x: sigmoid(ns, clip(x, -0.5, 0.5)))
    yield _instead(op, "half of tanh", lambda ns, x: sigmoid(ns, 2 * x))
    yield _instead(op, "Taylor's third order", lambda ns, x: 0.5 + x / 4 - x * x * x / 48)
    yield _gradient(op, "gradient at zero everywhere", lambda ns, x: x / 4)
    yield _gradient(op, "gradient of tanh", lambda ns, x: 2 * sigmoid(ns, 2 * x))
    yield _cut(op, "gradient cut below zero", lambda ns, x: ns.step(-x))
    yield _cut(op, "gradient cut above zero", lambda ns, x: ns.step(x))
    yield from _exchanged(op, (HardSigmoid, ReLU, HardSwish))


def silu() -> Iterator[Mutation]:
    """SiLU, which has no kinks."""
    op = SiLU
    yield _instead(op, "hard swish in its place", lambda ns, x: x * clip(x + 3, 0, 6) / 6)
    yield _instead(op, "gate upside down", lambda ns, x: x * sigmoid(ns, -x))
    yield _instead(op, "steeper by a hundredth", lambda ns, x: x * sigmoid(ns, 1.01 * x))
    yield _instead(op, "GELU by a sigmoid", lambda ns, x: x * sigmoid(ns, 1.702 * x))
    yield _instead(op, "gate moved by a thousandth", lambda ns, x: x * sigmoid(ns, x + 0.001))
    yield _instead(op, "ReLU below zero", lambda ns, x: positive(x) * sigmoid(ns, x))
    yield _gradient(
        op, "gradient of the gate left out", lambda ns, x: x * ns.detach(sigmoid(ns, x))
    )
    yield _gradient(op, "gradient is that of ReLU", lambda ns, x: positive(x))
    yield _cut(op, "gradient cut below zero", lambda ns, x: ns.step(-x))
    yield _cut(op, "gradient cut above zero", lambda ns, x: ns.step(x))
    yield from _exchanged(op, (HardSwish, ReLU, Sigmoid))


def activations() -> Iterator[Mutation]:
    """Return the mutations of every activation."""
    for mutations in (relu, relu6, hard_swish, hard_sigmoid, logistic, silu):
        yield from mutations()
