"""Functions of one number."""

from __future__ import annotations

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, expect, plain
from zoo.arch import Operator, Shape
from zoo.arch.operators import (
    ELU,
    GELU,
    AddScalar,
    Clamp,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    MulScalar,
    Pow,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)


def _clamp(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    ends = (call.options.get("min_val"), call.options.get("max_val"))
    if ends in ((0, 6), (0, None)):
        return [ReLU6() if ends[1] else ReLU()]
    low, high = (None if end is None else float(end) for end in ends)
    return [Clamp(min_val=low, max_val=high)]


def _elu(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, scale=1, input_scale=1)
    return [ELU(alpha=float(call.options["alpha"]))]


def _prelu(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [PReLU(num_parameters=held["weight"][0])]


def _add_scalar(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [AddScalar(value=call.options["value"])]


def _mul_scalar(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [MulScalar(value=call.options["value"])]


def _rsub_scalar(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [MulScalar(value=-1.0), AddScalar(value=call.options["value"])]


RULES: dict[str, Rule] = {
    "add_scalar": _add_scalar,
    "clamp": _clamp,
    "elu": _elu,
    "gelu": plain(GELU, "approximate"),
    "hardsigmoid": plain(HardSigmoid),
    "hardswish": plain(HardSwish),
    "hardtanh": _clamp,
    "leaky_relu": plain(LeakyReLU, "negative_slope"),
    "mish": plain(Mish),
    "mul_scalar": _mul_scalar,
    "pow": plain(Pow, "exponent"),
    "prelu": _prelu,
    "relu": plain(ReLU),
    "relu6": plain(ReLU6),
    "rsub_scalar": _rsub_scalar,
    "sigmoid": plain(Sigmoid),
    "silu": plain(SiLU),
    "exp": plain(Exp),
    "tanh": plain(Tanh),
}
