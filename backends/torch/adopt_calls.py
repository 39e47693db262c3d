"""What the functions of ATen are called in a program, and which of their arguments matter."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

Node = torch.fx.Node
Options = dict[str, Any]


class UnknownError(ValueError):
    """What a call does is not known here."""


def value_of(node: Node) -> Any:
    """Return what the recording knows of a result: a fake tensor, a size, or several."""
    return node.meta.get("val")


def arguments(node: Node) -> Options:
    """Return all arguments of a call by name, defaults included."""
    target: Any = node.target
    schema = target._schema.arguments
    found = {a.name: a.default_value for a in schema if a.has_default_value()}
    found |= {a.name: value for a, value in zip(schema, node.args, strict=False)}
    return found | dict(node.kwargs)


def _pair(value: Any) -> tuple[int, int]:
    numbers = [value] if isinstance(value, int) else list(value)
    return (numbers[0], numbers[-1])


def _as(kind: str, **names: Callable[[Any], Any]) -> Callable[[Options], tuple[str, Options]]:
    return lambda values: (kind, {name: read(values[name]) for name, read in names.items()})


def _same(value: Any) -> Any:
    return value


def _conv(values: Options) -> tuple[str, Options]:
    if isinstance(values["padding"], str):
        raise UnknownError(f"conv2d: padding (={values['padding']!r}) must be numbers")
    return "conv2d", {
        **{name: _pair(values[name]) for name in ("stride", "padding", "dilation")},
        "groups": values["groups"],
    }


def _pool(values: Options) -> tuple[str, Options]:
    found = {name: _pair(values[name]) for name in ("kernel_size", "padding")}
    found["stride"] = _pair(values["stride"]) if values["stride"] else found["kernel_size"]
    if "dilation" in values:
        return "max_pool2d", found | {
            "dilation": _pair(values["dilation"]), "ceil_mode": values["ceil_mode"],
        }  # fmt: skip
    rest = ("ceil_mode", "count_include_pad", "divisor_override")
    return "avg_pool2d", found | {name: values[name] for name in rest}


def _slice(values: Options) -> tuple[str, Options]:
    size = value_of(values["self"]).shape[values["dim"]]
    start, end = values["start"] or 0, values["end"]
    if isinstance(size, torch.SymInt):
        raise UnknownError("slice: of the images")
    end = size if end is None else min(end, size)
    start, end = (n + size if n < 0 else n for n in (start, end))
    return "slice", {"dim": values["dim"], "start": start, "end": end, "step": values["step"]}


def _padded(values: Options) -> tuple[str, Options]:
    pads = [*values["pad"], *[0] * 4][:4]
    if len(values["pad"]) > 4 and any(values["pad"][4:]):
        raise UnknownError("pad: of others than height and width")
    left, right, top, bottom = pads
    return "pad", {
        "sides": (top, left, bottom, right),
        "mode": values.get("mode", "constant"),
        "value": float(values.get("value") or 0.0),
    }


def _dims(values: Options) -> tuple[str, Options]:
    return "transpose", {"dims": (values["dim0"], values["dim1"])}


def _number(values: Options) -> None:
    if values.get("alpha", 1) != 1:
        raise UnknownError(f"add: alpha (={values['alpha']}) must be 1")


def _sum(values: Options) -> tuple[str, Options]:
    _number(values)
    return "add", {}


READ: dict[str, Callable[[Options], tuple[str, Options]]] = {
    "adaptive_avg_pool2d": _as("adaptive_avg_pool2d", output_size=_pair),
    "add": _sum,
    "alias": _as("identity"),
    "avg_pool2d": _pool,
    "batch_norm": _as("batch_norm", eps=_same, momentum=_same),
    "cat": _as("cat", dim=_same),
    "clone": _as("identity"),
    "contiguous": _as("identity"),
    "conv2d": _conv,
    "detach": _as("identity"),
    "dropout": _as("dropout", p=_same),
    "feature_dropout": _as("feature_dropout", p=_same),
    "flatten": _as("flatten"),
    "hardsigmoid": _as("hardsigmoid"),
    "hardswish": _as("hardswish"),
    "hardtanh": _as("hardtanh", min_val=_same, max_val=_same),
    "linear": _as("linear"),
    "max_pool2d": _pool,
    "mean": _as("mean", dim=_same, keepdim=_same),
    "mul": _as("mul"),
    "pad": _padded,
    "constant_pad_nd": _padded,
    "relu": _as("relu"),
    "relu6": _as("relu6"),
    "reshape": _as("reshape"),
    "sigmoid": _as("sigmoid"),
    "silu": _as("silu"),
    "slice": _slice,
    "stochastic_depth": _as("stochastic_depth", p=_same),
    "transpose": _dims,
    "view": _as("reshape"),
}
"""ATen's function → the program's, and its options."""

SIZES = (torch.ops.aten.sym_size.int, operator.mul, operator.floordiv)
"""Arithmetic of sizes, which the shapes of the results tell."""
