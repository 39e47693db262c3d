"""Pools, and means over axes."""

from __future__ import annotations

from typing import Any

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, UnfitError, expect, require_map
from zoo.arch import Operator, Shape
from zoo.arch.operators import AdaptiveAvgPool2d, AvgPool2d, Flatten, GlobalAvgPool2d, MaxPool2d


def _window(call: Call, read: list[Shape]) -> dict[str, Any]:
    """Return the fields that both pools have."""
    require_map(call, read[0])
    o, (height, width) = call.options, read[0][2:]
    fields: dict[str, Any] = {"kernel_size": o["kernel_size"], "stride": o["stride"]}
    if o["padding"] == "SAME_UPPER":
        return fields | {"padding": "SAME_UPPER"}
    top, left, bottom, right = given = tuple((*o["padding"], *o["padding"])[:4])
    ways: list[dict[str, Any]] = [
        {"padding": (top, left, top, left), "ceil_mode": o["ceil_mode"]},
        {"padding": (top, left, top, left), "ceil_mode": True},
        {"padding": "SAME_UPPER"},
    ]
    if (top, left) == (bottom, right):
        return fields | ways[0]
    # Padding that differs is one of those that depend on the size, as an exporter resolved them.
    for way in ways[1:]:
        if not o["ceil_mode"] and MaxPool2d(**fields, **way).resolved((height, width)) == given:
            return fields | way
    raise UnfitError(f"{call.kind}: padding (={given}) must be alike on opposite sides")


def _max_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, dilation=(1, 1))
    return [MaxPool2d(**_window(call, read))]


def _avg_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, divisor_override=None)
    counts = call.options["count_include_pad"] and any(call.options["padding"])
    return [AvgPool2d(**_window(call, read), count_include_pad=counts)]


def _adaptive_avg_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    size = call.options["output_size"]
    return [GlobalAvgPool2d() if size == (1, 1) else AdaptiveAvgPool2d(output_size=size)]


def _mean(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    axes = sorted(axis % 4 for axis in call.options["dim"])
    if axes != [2, 3]:
        raise UnfitError(f"mean: dim (={axes}) must be height and width")
    return [GlobalAvgPool2d(), *([] if call.options["keepdim"] else [Flatten()])]


RULES: dict[str, Rule] = {
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "max_pool2d": _max_pool2d,
    "mean": _mean,
}
