"""MindSpore's functions of one number, and what joins two values, in PyTorch's terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backends.mindir.place import At, Held, UnknownError, Value
from zoo.adoption.program import Call

Read = Callable[[At], Any]


def _number(value: Any) -> float | None:
    """Return what is one number; None for what is none."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf":
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(np.float32(value).astype(str))


def _two(kind: str) -> Read:
    def read(at: At) -> Any:
        for i in (0, 1):
            mark = at.reader.marks.get(at[1 - i].name) if isinstance(at[1 - i], Held) else None
            if mark:
                return _marked(at, at[i], *mark)
        for i in (0, 1):
            value = _number(at[i])
            if value is not None and not (i == 0 and kind == "div"):
                named, value = {
                    "add": ("add_scalar", value),
                    "sub": ("add_scalar", -value) if i else ("rsub_scalar", value),
                    "mul": ("mul_scalar", value),
                    "div": ("mul_scalar", 1 / value if value else math.inf),
                }[kind]
                return _by_value(at, named, at.tensor(1 - i), value=value)
        if kind == "div":
            raise UnknownError(f"{at.node.kind}: what it is divided by must be a number")
        more: dict[str, Any] = {"alpha": -1.0} if kind == "sub" else {}
        return at.emit("add_times" if kind == "sub" else kind, at.tensor(0), at.tensor(1), **more)

    return read


def _marked(at: At, x: Any, kind: str, p: float, scope: str) -> Any:
    if kind == "scope" and not isinstance(x, Value):  # an array that a Cell is called with
        return x
    inside = replace(at.value(x), scope=scope)
    if kind == "scope":
        return inside
    return replace(replace(at, scope=scope).emit(kind, inside, p=p), scope=x.scope)


def _by_value(at: At, kind: str, x: Value, **options: Any) -> Value:
    """Call a function of each value where the axes are still apart."""
    if x.images != 0 or x.shape[0] == 1:
        return at.emit(kind, x, shape=x.shape, **options)
    made = at.emit(kind, x.root, shape=x.root.shape, images=x.root.images, **options)
    return at.viewed(made, x.shape, x.images)


def _clip(at: At) -> Value:
    low, high = (
        None if at.fixed(i, n) is None else at.number(i, n) for i, n in ((1, "min"), (2, "max"))
    )
    return _by_value(at, "clamp", at.tensor(), min_val=low, max_val=high)


def _end(name: str) -> Read:
    """Read a maximum or minimum with a number; or with a multiple: a leaky ReLU."""

    def read(at: At) -> Value:
        for i in (0, 1):
            value = _number(at[i])
            if value is not None:
                ends = {"min_val": None, "max_val": None} | {name: value}
                return _by_value(at, "clamp", at.tensor(1 - i), **ends)
            before: Call | None = at.reader.made.get(at.tensor(i).name)
            slope = before.options["value"] if before and before.kind == "mul_scalar" else 1
            if before and before.inputs == (at.tensor(1 - i).name,) and 0 <= slope < 1:
                return at.emit("leaky_relu", at.tensor(1 - i), negative_slope=slope)
        raise UnknownError(f"{at.node.kind}: with what is no number")

    return read


def _elu(at: At) -> Value:
    return at.emit("elu", at.tensor(), alpha=at.number(1, "alpha"), scale=1, input_scale=1)


def _prelu(at: At) -> Value:
    return at.emit("prelu", at.tensor(), held={"weight": at.held(1, "weight", 1)})


def _power(at: At) -> Value:
    return at.emit("pow", at.tensor(), exponent=at.number(1, "power"))


def _plain(kind: str, **options: Any) -> Read:
    return lambda at: _by_value(at, kind, at.tensor(), **options)


READ: dict[str, Read] = {
    "Add": _two("add"),
    "AddScalar": _two("add"),
    "Adds": _two("add"),
    "ClampScalar": _clip,
    "Div": _two("div"),
    "Divs": _two("div"),
    "Elu": _elu,
    "Erf": _plain("erf"),
    "GeLU": _plain("gelu", approximate="tanh"),
    "HSigmoid": _plain("hardsigmoid"),
    "HSwish": _plain("hardswish"),
    "InplaceAddExt": _two("add"),
    "Exp": _plain("exp"),
    "InplaceAddsExt": _two("add"),
    "InplaceMul": _two("mul"),
    "InplaceMuls": _two("mul"),
    "Maximum": _end("min_val"),
    "Minimum": _end("max_val"),
    "Mish": _plain("mish"),
    "Mul": _two("mul"),
    "Muls": _two("mul"),
    "Neg": lambda at: _by_value(at, "mul_scalar", at.tensor(), value=-1.0),
    "PReLU": _prelu,
    "Pow": _power,
    "ReLU": _plain("relu"),
    "ReLU6": _plain("relu6"),
    "RealDiv": _two("div"),
    "SiLU": _plain("silu"),
    "Sigmoid": _plain("sigmoid"),
    "Sub": _two("sub"),
    "SubScalar": _two("sub"),
    "Tanh": _plain("tanh"),
}
