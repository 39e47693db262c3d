"""Operators that are a function of one number; the shape is kept.

Those with values of their own are in ``functions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.arch.operator import Operator, Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReLU(Operator):
    """max(x, 0); shape kept. The gradient at 0 is 0."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(0,),
        rounds=False,
        overwrites=True,
        result="saved",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReLU6(Operator):
    """min(max(x, 0), 6) (MobileNetV2, arXiv:1801.04381); shape kept.

    The gradient at 0 is 0. At 6 it is the framework's own: PyTorch takes 0, MindSpore 1.
    """

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(0, 6),
        rounds=False,
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSwish(Operator):
    """x * min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv:1905.02244); shape kept.

    The gradient has steps of 1/2 at -3 and 3. At these very points it is the framework's own:
    PyTorch takes that of the outside (0 and 1), MindSpore that of the inside (-1/2 and 3/2).
    """

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="kept",
        kinks=(-3, 3),
        rounds=True,
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(Operator):
    """min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv:1905.02244); shape kept.

    The gradient has steps of 1/6 at -3 and 3, where it is 0.
    """

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(-3, 3),
        rounds=True,
        overwrites=False,
        result="own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(Operator):
    """1 / (1 + exp(-x)); shape kept."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="nonnegative",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="saved",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiLU(Operator):
    """x / (1 + exp(-x)), swish (arXiv:1702.03118, arXiv:1710.05941); shape kept."""

    traits = Traits(
        elementwise=True,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )
