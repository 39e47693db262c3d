"""ONNX's functions of one number, and sums and products with numbers, in PyTorch's terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import NodeProto

from backends.onnx.adopt_fold import Known, UnknownError
from backends.onnx.adopt_node import Read, Step, plain


def number(value: Any) -> float:
    """Return the shortest number that float32 holds as this one."""
    return float(np.float32(value).astype(str))


def _clip(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    bounds = [values.get(name) for name in ("min", "max")]
    for i, name in enumerate(node.input[1:3]):
        if name:
            bounds[i] = known.constant(name, "Clip: a bound")
    low, high = (None if bound is None else number(bound) for bound in bounds)
    options = {"min_val": low, "max_val": high}
    return [Step(node.output[0], "clamp", (node.input[0],), options)]


def _hard_sigmoid(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    alpha, beta = values.get("alpha", 0.2), values.get("beta", 0.5)
    if not (math.isclose(alpha, 1 / 6, rel_tol=1e-6) and math.isclose(beta, 0.5)):
        raise UnknownError(f"HardSigmoid: alpha (={alpha:g}) must be 1/6 and beta (={beta:g}) 0.5")
    return [Step(node.output[0], "hardsigmoid", (node.input[0],))]


def _gelu(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    options = {"approximate": values.get("approximate", b"none").decode()}
    return [Step(node.output[0], "gelu", (node.input[0],), options)]


def _valued(kind: str, field: str, name: str, default: float) -> Read:
    def read(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
        options = {field: number(values.get(name, default))}
        return [Step(node.output[0], kind, (node.input[0],), options)]

    return read


def _prelu(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    slope = known.constant(node.input[1], "PRelu: the slope")
    if slope.size != max(slope.shape):
        raise UnknownError(f"PRelu: a slope of shape {slope.shape} must be one a channel")
    return [Step(node.output[0], "prelu", (node.input[0],), {}, {"weight": node.input[1]})]


def _two(kind: str) -> Read:
    """Return the reader of what joins two values, or a value and a number."""

    def read(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
        by = [i for i, name in enumerate(node.input) if name in known.constants]
        if not by:
            if kind == "div":
                raise UnknownError("Div: what it is divided by must be a number")
            more = {"alpha": -1.0} if kind == "sub" else {}
            joined = "add_times" if kind == "sub" else kind
            return [Step(node.output[0], joined, tuple(node.input), more)]
        array = known.constant(node.input[by[0]], f"{node.op_type}: a number")
        if array.size != 1 or len(by) > 1 or (kind == "div" and by == [0]):
            raise UnknownError(f"{node.op_type}: by a constant of shape {array.shape}")
        value, other = number(array.reshape(())), node.input[1 - by[0]]
        found = {
            "add": ("add_scalar", value),
            "sub": ("rsub_scalar", value) if by == [0] else ("add_scalar", -value),
            "mul": ("mul_scalar", value),
            "div": ("mul_scalar", 1 / value if value else math.inf),
        }[kind]
        return [Step(node.output[0], found[0], (other,), {"value": found[1]})]

    return read


def _power(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    exponent = known.constant(node.input[1], "Pow: the exponent")
    if exponent.size != 1:
        raise UnknownError(f"Pow: an exponent of shape {exponent.shape} must be a number")
    options = {"exponent": float(exponent.reshape(()))}
    return [Step(node.output[0], "pow", (node.input[0],), options)]


def _neg(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    return [Step(node.output[0], "mul_scalar", (node.input[0],), {"value": -1.0})]


READ: dict[str, Read] = {
    "Add": _two("add"),
    "Clip": _clip,
    "Div": _two("div"),
    "Elu": _valued("elu", "alpha", "alpha", 1.0),
    "Erf": plain("erf"),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": plain("hardswish"),
    "LeakyRelu": _valued("leaky_relu", "negative_slope", "alpha", 0.01),
    "Mish": plain("mish"),
    "Mul": _two("mul"),
    "Neg": _neg,
    "PRelu": _prelu,
    "Pow": _power,
    "Relu": plain("relu"),
    "Sigmoid": plain("sigmoid"),
    "Softplus": plain("softplus"),
    "Sub": _two("sub"),
    "Exp": plain("exp"),
    "Tanh": plain("tanh"),
}
"""Operator → what it means."""
