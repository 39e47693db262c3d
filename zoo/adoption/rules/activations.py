"""Functions of one number."""

from __future__ import annotations

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, expect, plain
from zoo.arch import Operator, Shape
from zoo.arch.operators import HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU


def _hardtanh(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, min_val=0, max_val=6)
    return [ReLU6()]


RULES: dict[str, Rule] = {
    "hardsigmoid": plain(HardSigmoid),
    "hardswish": plain(HardSwish),
    "hardtanh": _hardtanh,
    "relu": plain(ReLU),
    "relu6": plain(ReLU6),
    "sigmoid": plain(Sigmoid),
    "silu": plain(SiLU),
}
