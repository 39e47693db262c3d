"""ONNX's functions of one number, and sums and products with numbers, in PyTorch's terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends.onnx.adopt_node import At, Read, Step, plain


def number(value: Any) -> float:
    """Return the shortest number that float32 holds as this one."""
    return float(np.float32(value).astype(str))


def _clip(at: At) -> list[Step]:
    bounds = [at.values.get(name) for name in ("min", "max")]
    for i in (1, 2):
        if at.has(i):
            bounds[i - 1] = at.constant(i, "a bound")
    low, high = (None if bound is None else number(bound) for bound in bounds)
    return [at.step("clamp", min_val=low, max_val=high)]


def _hard_sigmoid(at: At) -> list[Step]:
    alpha, beta = at.values.get("alpha", 0.2), at.values.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and math.isclose(beta, 0.5):
        return [at.step("hardsigmoid")]
    shape = at.shape()
    scaled = at.part(":scaled", shape, "mul_scalar", at.node.input[0], value=number(alpha))
    moved = at.part(":moved", shape, "add_scalar", scaled.output, value=number(beta))
    return [scaled, moved, at.step("clamp", moved.output, min_val=0.0, max_val=1.0)]


def _where(at: At) -> list[Step]:
    """Read a mask: a product with it, and a sum with what is there instead."""
    mask = at.constant(0, "the condition").astype(np.float32)
    by = [i for i in (1, 2) if at.node.input[i] in at.known.constants]
    if len(by) != 1:
        raise at.unfit("must be of a value and a constant")
    kept = mask if by == [2] else 1 - mask
    other = np.where(kept, 0, at.known.constants[at.node.input[by[0]]])
    if not np.isfinite(other).all():
        raise at.unfit("what is put there must be finite")
    at.known.constants[keep := f"{at.node.output[0]}:kept"] = kept
    at.known.constants[put := f"{at.node.output[0]}:put"] = other.astype(np.float32)
    x, shape = at.node.input[3 - by[0]], at.known.shapes.get(at.node.output[0], ())
    product = at.part(":product", shape, "mul", x, keep)
    return [product, at.step("add", product.output, put)]


def _sum(at: At) -> list[Step]:
    """Read a sum of any number of values."""
    found, (x, *others) = [], at.node.input
    for i, other in enumerate(others[:-1]):
        shape = np.broadcast_shapes(at.shape(), *(at.shape(j) for j in range(i + 2)))
        found.append(at.part(f":{i}", shape, "add", x, other))
        x = found[-1].output
    return [*found, at.step("add", x, others[-1]) if others else at.step("identity")]


def _valued(kind: str, field: str, name: str, default: float) -> Read:
    return lambda at: [at.step(kind, **{field: number(at.values.get(name, default))})]


def _prelu(at: At) -> list[Step]:
    slope = at.constant(1, "the slope")
    if slope.size != max(slope.shape, default=1):
        raise at.unfit(f"a slope of shape {slope.shape} must be one a channel")
    name, maker = at.node.input[1], at.known.makers.get(at.node.input[1])
    if maker is not None and maker.op_type in ("Reshape", "Unsqueeze"):
        name = maker.input[0]
    if at.known.constants[name].ndim != 1:
        at.known.constants[f"{name}:flat"] = slope.ravel()
        name = f"{name}:flat"
    return [at.step("prelu", held={"weight": name})]


def _bound(field: str) -> Read:
    """Return the reader of a maximum or minimum with a number."""

    def read(at: At) -> list[Step]:
        by = [name for name in at.node.input if name in at.known.constants]
        value = at.known.constants[by[0]] if by else np.zeros(0)
        if len(at.node.input) != 2 or value.size != 1:
            raise at.unfit("must be of a value and a number")
        (x,) = (name for name in at.node.input if name != by[0])
        options = {"min_val": None, "max_val": None, field: number(value.reshape(()))}
        return [at.step("clamp", x, **options)]

    return read


def _two(kind: str) -> Read:
    """Return the reader of what joins two values, or a value and a number."""

    def read(at: At) -> list[Step]:
        names = list(at.node.input)
        constants, learned = at.known.constants, at.known.learned
        by = [i for i, name in enumerate(names) if name in constants]
        if len(by) == 1 and constants[names[by[0]]].dtype.kind == "f":
            array = constants[names[by[0]]]
            if array.size == 1 and not (array.ndim and names[by[0]] in learned):
                return _with_number(at, kind, number(array.reshape(())), by[0])
            if by == [1] and kind in ("sub", "div"):  # a sum or a product with another constant
                with np.errstate(divide="ignore"):
                    turned = -array if kind == "sub" else 1 / array
                constants[names[1] + ":turned"] = turned
                return [at.step("add" if kind == "sub" else "mul", names[0], names[1] + ":turned")]
        if kind == "sub":
            return [at.step("add_times", *names, alpha=-1.0)]
        return [at.step(kind, *names)]

    return read


def _with_number(at: At, kind: str, value: float, place: int) -> list[Step]:
    if kind == "div" and place == 0:
        raise at.unfit("a number by a value")
    name, by = {
        "add": ("add_scalar", value),
        "sub": ("add_scalar", -value) if place else ("rsub_scalar", value),
        "mul": ("mul_scalar", value),
        "div": ("mul_scalar", 1 / value if value else math.inf),
    }[kind]
    return [at.step(name, at.node.input[1 - place], value=by)]


def _power(at: At) -> list[Step]:
    exponent = at.constant(1, "the exponent")
    if exponent.size != 1:
        raise at.unfit(f"an exponent of shape {exponent.shape} must be a number")
    return [at.step("pow", exponent=float(exponent.reshape(())))]


READ: dict[str, Read] = {
    "Add": _two("add"),
    "Clip": _clip,
    "Div": _two("div"),
    "Elu": _valued("elu", "alpha", "alpha", 1.0),
    "Erf": plain("erf"),
    "Exp": plain("exp"),
    "Gelu": lambda at: [at.step("gelu", approximate=at.text("approximate", "none"))],
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": plain("hardswish"),
    "LeakyRelu": _valued("leaky_relu", "negative_slope", "alpha", 0.01),
    "Max": _bound("min_val"),
    "Min": _bound("max_val"),
    "Mish": plain("mish"),
    "Mul": _two("mul"),
    "Neg": plain("mul_scalar", value=-1.0),
    "PRelu": _prelu,
    "Pow": _power,
    "Relu": plain("relu"),
    "Sigmoid": plain("sigmoid"),
    "Softplus": plain("softplus"),
    "Sqrt": plain("sqrt"),
    "Sub": _two("sub"),
    "Sum": _sum,
    "Swish": plain("silu"),
    "Tanh": plain("tanh"),
    "Where": _where,
}
"""Operator → what it means."""
