"""Functions of one number as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

from backends.onnx.emission import Emission, Emit
from zoo.arch import Node, Operator, Shape, operators


def _gelu(e: Emission, node: Node, op: operators.GELU, shape: Shape) -> None:
    # ONNX has a Gelu from opset 20 on. Run-times know these nodes, and make one of them.
    (x,), name = node.inputs, node.name

    def number(kind: str, what: str, y: str, value: float) -> str:
        return e.add(kind, f"{name}.{what}", [y, e.constant(f"{name}.{what}_by", value)])

    if op.approximate == "none":
        y = e.add("Erf", f"{name}.erf", [number("Div", "scaled", x, math.sqrt(2))])
    else:
        cube = e.add("Mul", f"{name}.cube", [x, e.add("Mul", f"{name}.square", [x, x])])
        y = e.add("Add", f"{name}.bent", [x, number("Mul", "bend", cube, 0.044715)])
        y = e.add("Tanh", f"{name}.tanh", [number("Mul", "scaled", y, math.sqrt(2 / math.pi))])
        # OpenCV crashes where it makes one node of these itself; run-times drop the Identity.
        y = e.add("Identity", f"{name}.bounded", [y])
    gate = number("Add", "gate", y, 1.0)
    whole = e.add("Mul", f"{name}.whole", [x, gate])
    e.add("Mul", name, [whole, e.constant(f"{name}.half", 0.5)])


def _mish(e: Emission, node: Node, op: operators.Mish, shape: Shape) -> None:
    y = e.add("Softplus", f"{node.name}.softplus", node.inputs)
    e.add("Mul", node.name, [node.inputs[0], e.add("Tanh", f"{node.name}.gate", [y])])


def _prelu(e: Emission, node: Node, op: operators.PReLU, shape: Shape) -> None:
    slope = f"{node.name}.weight"
    if op.num_parameters > 1 and len(shape) > 2:
        to = e.constant(f"{node.name}.to", (op.num_parameters, *(1,) * (len(shape) - 2)))
        slope = e.add("Reshape", f"{node.name}.slope", [slope, to])
    e.add("PRelu", node.name, [node.inputs[0], slope])


def _clamp(e: Emission, node: Node, op: operators.Clamp, shape: Shape) -> None:
    ends = (("min", op.min_val), ("max", op.max_val))
    bounds = ["" if v is None else e.constant(f"{node.name}.{end}", float(v)) for end, v in ends]
    e.add("Clip", node.name, [node.inputs[0], *bounds[: 1 + bool(bounds[1])]])


def _by(kind: str) -> Emit:
    def emit(e: Emission, node: Node, op: Any, shape: Shape) -> None:
        by = e.constant(f"{node.name}.value", float(op.value))
        e.add(kind, node.name, [node.inputs[0], by])

    return emit


def _leaky(e: Emission, node: Node, op: operators.LeakyReLU, shape: Shape) -> None:
    e.add("LeakyRelu", node.name, node.inputs, alpha=op.negative_slope)


def _elu(e: Emission, node: Node, op: operators.ELU, shape: Shape) -> None:
    e.add("Elu", node.name, node.inputs, alpha=op.alpha)


def _tanh(e: Emission, node: Node, op: operators.Tanh, shape: Shape) -> None:
    e.add("Tanh", node.name, node.inputs)


def _exp(e: Emission, node: Node, op: operators.Exp, shape: Shape) -> None:
    e.add("Exp", node.name, node.inputs)


def _pow(e: Emission, node: Node, op: operators.Pow, shape: Shape) -> None:
    by = e.constant(f"{node.name}.exponent", float(op.exponent))
    e.add("Pow", node.name, [node.inputs[0], by])


FUNCTIONS: dict[type[Operator], tuple[str, Emit]] = {
    operators.GELU: ("Erf", _gelu),
    operators.LeakyReLU: ("LeakyRelu", _leaky),
    operators.PReLU: ("PRelu", _prelu),
    operators.ELU: ("Elu", _elu),
    operators.Tanh: ("Tanh", _tanh),
    operators.Exp: ("Exp", _exp),
    operators.Pow: ("Pow", _pow),
    operators.Mish: ("Softplus", _mish),
    operators.Clamp: ("Clip", _clamp),
    operators.AddScalar: ("Add", _by("Add")),
    operators.MulScalar: ("Mul", _by("Mul")),
}
"""Operator → (the ONNX operator that it needs, what adds its nodes)."""
