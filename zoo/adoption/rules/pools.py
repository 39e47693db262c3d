"""Pools, reductions over axes, and maps of another size."""

from __future__ import annotations

from typing import Any

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, UnfitError, expect, require_map
from zoo.arch import Operator, Shape
from zoo.arch.operators import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    Pad2d,
    Reduce,
    Upsample,
)


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


def _adaptive_max_pool2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    size, map_size = call.options["output_size"], read[0][2:]
    if size == (1, 1):
        return [Reduce(kind="amax", dim=(2, 3), keepdim=True)]
    if any(n % m for n, m in zip(map_size, size, strict=True)):
        raise UnfitError(f"{call.kind}: output_size (={size}) must divide the map's {map_size}")
    window = (map_size[0] // size[0], map_size[1] // size[1])
    return [MaxPool2d(kernel_size=window, stride=window, padding=(0, 0, 0, 0))]


def _reduction(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    rank, keepdim = len(read[0]), call.options["keepdim"]
    dim = tuple(sorted(axis % rank for axis in call.options["dim"]))
    if not dim or dim[0] == 0:
        raise UnfitError(f"{call.kind}: dim (={dim}) must keep the images apart")
    if (call.kind, dim, rank) == ("mean", (2, 3), 4):
        return [GlobalAvgPool2d(), *([] if keepdim else [Flatten()])]
    kind: Any = call.kind
    return [Reduce(kind=kind, dim=dim, keepdim=keepdim)]


def _pad(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    o = call.options
    plain = o["mode"] == "constant"
    return [Pad2d(sides=o["sides"], mode=o["mode"], value=o["value"] if plain else 0.0)]


def _pad_axes(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    raise UnfitError("pad: must be of one or two axes, which are not the images'")


def _upsample(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    o, size = call.options, (call.shape[2], call.shape[3])
    whole = all(m % n == 0 for m, n in zip(size, read[0][2:], strict=True))
    factors = (size[0] // read[0][2], size[1] // read[0][3])
    if o["scale_factors"] and any(
        m != n * s for m, n, s in zip(size, read[0][2:], o["scale_factors"], strict=True)
    ):
        raise UnfitError(
            f"{call.kind}: scale_factors (={tuple(o['scale_factors'])}) must be whole numbers, "
            f"or what makes {read[0][2:]} to {size}"
        )
    as_factor = bool(o["scale_factors"]) and whole
    return [
        Upsample(
            size=None if as_factor else size, scale_factor=factors if as_factor else None,
            mode=o["mode"], align_corners=bool(o.get("align_corners")),
        )
    ]  # fmt: skip


RULES: dict[str, Rule] = {
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "amax": _reduction,
    "avg_pool2d": _avg_pool2d,
    "max_pool2d": _max_pool2d,
    "mean": _reduction,
    "pad": _pad,
    "pad_axes": _pad_axes,
    "sum": _reduction,
    "upsample": _upsample,
}
