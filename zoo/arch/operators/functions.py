"""Further functions of one number, most with values of their own; the shape is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.arch.operator import (
    Operator,
    Parameter,
    Result,
    Shape,
    Sign,
    Traits,
    require,
    require_channels,
)


def _function(sign: Sign, kinks: tuple[float, ...] = (), result: Result = "own") -> Traits:
    """Return the traits of a function that computes and overwrites nothing."""
    return Traits(
        elementwise=True,
        channels="each",
        sign=sign,
        kinks=kinks,
        rounds=True,
        overwrites=False,
        result=result,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GELU(Operator):
    """x Φ(x), Φ the normal distribution's (arXiv:1606.08415); ``"tanh"`` approximates it."""

    traits = _function("kept")

    approximate: Literal["none", "tanh"]

    def __post_init__(self) -> None:
        known = self.approximate in ("none", "tanh")
        require(known, f"approximate (={self.approximate!r}) must be none or tanh")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyReLU(Operator):
    """x where x is positive, ``negative_slope * x`` elsewhere."""

    traits = _function("kept", kinks=(0,))

    negative_slope: float

    def __post_init__(self) -> None:
        rule = f"negative_slope (={self.negative_slope}) must not be negative"
        require(self.negative_slope >= 0, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class PReLU(Operator):
    """As `LeakyReLU`, with slopes that are learned: one a channel, or one for all."""

    traits = _function("kept", kinks=(0,))

    num_parameters: int

    def __post_init__(self) -> None:
        require(
            self.num_parameters >= 1, f"num_parameters (={self.num_parameters}) must be at least 1"
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        if self.num_parameters > 1:
            require_channels("num_parameters", self.num_parameters, inputs[0])
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        return {"weight": Parameter((self.num_parameters,), init="ones", scale=0.25)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ELU(Operator):
    """x where x is positive, ``alpha * (exp(x) - 1)`` elsewhere (arXiv:1511.07289)."""

    traits = _function("kept")

    alpha: float

    def __post_init__(self) -> None:
        require(self.alpha > 0, f"alpha (={self.alpha}) must be positive")

    @property
    def kinks(self) -> tuple[float, ...]:
        return () if self.alpha == 1 else (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tanh(Operator):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""

    traits = _function("kept", result="saved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exp(Operator):
    """exp(x), e.g. of the logarithm of a scale (Swin V2, arXiv:2111.09883)."""

    traits = _function("nonnegative", result="saved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pow(Operator):
    """x to the power of ``exponent``; of positive values where that is no whole number.

    Quotients are products with a power of -1, and root mean squares have one of -0.5.
    """

    traits = _function("kept")

    exponent: float

    def __post_init__(self) -> None:
        rule = f"exponent (={self.exponent}) must be finite, and neither 0 nor 1"
        require(math.isfinite(self.exponent) and self.exponent not in (0, 1), rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mish(Operator):
    """x tanh(log(1 + exp(x))) (arXiv:1908.08681)."""

    traits = _function("kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp(Operator):
    """x, held between two numbers; None for an end that is open. A bound may need rounding."""

    traits = _function("free")

    min_val: float | None
    max_val: float | None

    def __post_init__(self) -> None:
        low, high = self.min_val, self.max_val
        require(low is not None or high is not None, "min_val or max_val must be a number")
        rule = f"min_val (={low}) must be below max_val (={high})"
        require(low is None or high is None or low < high, rule)

    @property
    def kinks(self) -> tuple[float, ...]:
        return tuple(bound for bound in (self.min_val, self.max_val) if bound is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddScalar(Operator):
    """x + ``value``."""

    traits = _function("free")

    value: float

    def __post_init__(self) -> None:
        require(math.isfinite(self.value), f"value (={self.value}) must be finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class MulScalar(Operator):
    """x * ``value``."""

    traits = _function("free")

    value: float

    def __post_init__(self) -> None:
        require(math.isfinite(self.value), f"value (={self.value}) must be finite")
