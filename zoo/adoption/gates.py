"""Gates, and products of a value with one of its own, as exporters and hands write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from zoo.adoption.program import Call, Program

Made = Mapping[str, Call]


def gated(program: Program) -> Program:
    """Turn products into what they are: GELU in both forms, Mish, hard swish and hard sigmoid."""
    made: dict[str, Call] = {}
    for call in program.calls:
        made[call.name] = call
        if (x := _cut(_of(call.name, "mul_scalar", made, 1 / 6), made)) is not None:
            call.kind, call.inputs, call.options = "hardsigmoid", (x,), {}
        if call.kind not in ("mul", "mul_scalar"):
            continue
        for gate in _factors(call.name, made)[1]:
            for kind, options, scale, gated_by in FORMS:
                x = gated_by(gate, made)
                if x is not None and _is_product(call.name, scale, [x, gate], x, made):
                    call.kind, call.inputs, call.options = kind, (x,), options
    return program


def normalized(program: Program) -> Program:
    """Turn x over max(|x|, eps), as ``torch.nn.functional.normalize`` has it, into one function."""
    made: dict[str, Call] = {}
    for call in program.calls:
        made[call.name] = call
        if call.kind != "div" or len(call.inputs) != 2:
            continue
        x, below = call.inputs
        spread = made.get(below)
        if spread is not None and spread.kind == "expand":
            below = spread.inputs[0]
        held = made.get(below)
        norm = made.get(held.inputs[0]) if held is not None and held.kind == "clamp" else None
        if held is None or norm is None or norm.kind != "vector_norm" or norm.inputs != (x,):
            continue
        dims, eps = norm.options["dim"], held.options["min_val"]
        whole = norm.options["ord"] == 2 and norm.options["keepdim"] and len(dims or ()) == 1
        if whole and eps and held.options["max_val"] is None:
            call.kind, call.inputs, call.options = "normalize", (x,), {"dim": dims[0], "eps": eps}
    return program


def _factors(name: str, made: Made, stop: str = "", depth: int = 4) -> tuple[float, list[str]]:
    """Return the number and the values that a product is made of; ``stop`` is not taken apart."""
    call = made.get(name) if depth and name != stop else None
    if call is not None and call.kind == "mul_scalar":
        scale, factors = _factors(call.inputs[0], made, stop, depth - 1)
        return scale * call.options["value"], factors
    if call is not None and call.kind == "mul" and len(call.inputs) == 2:
        (a, left), (b, right) = (_factors(n, made, stop, depth - 1) for n in call.inputs)
        return a * b, left + right
    if call is not None and call.kind == "pow" and call.options["exponent"] in (2, 3):
        scale, factors = _factors(call.inputs[0], made, stop, depth - 1)
        exponent = int(call.options["exponent"])
        return scale**exponent, factors * exponent
    return 1.0, [name]


def _is_product(name: str, scale: float, factors: list[str], x: str, made: Made) -> bool:
    found, values = _factors(name, made, x)
    return sorted(values) == sorted(factors) and math.isclose(found, scale, rel_tol=1e-5)


def _of(name: str | None, kind: str, made: Made, value: float | None = None) -> str | None:
    """Return what a value is that function of, if it is, by this number if one is given."""
    call = made.get(name) if name else None
    if call is None or call.kind != kind:
        return None
    near = value is None or math.isclose(call.options["value"], value, rel_tol=1e-5)
    return call.inputs[0] if near else None


def _normal(gate: str, made: Made) -> str | None:
    inner = _of(_of(gate, "add_scalar", made, 1.0), "erf", made)
    return _of(inner, "mul_scalar", made, math.sqrt(0.5))


def _bent(gate: str, made: Made) -> str | None:
    inner = _of(_of(gate, "add_scalar", made, 1.0), "tanh", made)
    call = made.get(_of(inner, "mul_scalar", made, math.sqrt(2 / math.pi)) or "")
    if call is None or call.kind != "add":
        return None
    for x, cube in (call.inputs, call.inputs[::-1]):
        if _is_product(cube, 0.044715, [x, x, x], x, made):
            return x
    return None


def _soft(gate: str, made: Made) -> str | None:
    return _of(_of(gate, "tanh", made), "softplus", made)


def _cut(gate: str | None, made: Made) -> str | None:
    return _of(_of(gate, "relu6", made), "add_scalar", made, 3.0)


FORMS: tuple[tuple[str, dict[str, str], float, Callable[[str, Made], str | None]], ...] = (
    ("gelu", {"approximate": "none"}, 0.5, _normal),
    ("gelu", {"approximate": "tanh"}, 0.5, _bent),
    ("mish", {}, 1.0, _soft),
    ("hardswish", {}, 1 / 6, _cut),
    ("hardswish", {}, 1.0, lambda gate, made: _of(gate, "hardsigmoid", made)),
)
"""Function, its options, what the product is multiplied by, and what a gate is made of."""
