"""Pools, and means over axes."""

from __future__ import annotations

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, UnfitError, expect, require_map
from zoo.arch import Operator, Shape
from zoo.arch.operators import AdaptiveAvgPool2d, AvgPool2d, Flatten, GlobalAvgPool2d, MaxPool2d


def _max_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, dilation=(1, 1), ceil_mode=False)
    o = call.options
    return [
        MaxPool2d(
            kernel_size=o["kernel_size"], stride=o["stride"], padding=(*o["padding"], *o["padding"])
        )
    ]  # fmt: skip


def _avg_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, ceil_mode=False, divisor_override=None)
    o = call.options
    return [
        AvgPool2d(
            kernel_size=o["kernel_size"], stride=o["stride"],
            padding=(*o["padding"], *o["padding"]),
            count_include_pad=o["count_include_pad"] and any(o["padding"]),
        )
    ]  # fmt: skip


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
