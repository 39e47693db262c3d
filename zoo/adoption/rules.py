"""Which operators a function of PyTorch is: one rule each.

A rule returns the operators that do what a call does, one after the other, or raises `UnfitError`
with what it has that no operator of ours does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.adoption.program import Call
from zoo.arch import Operator, Shape
from zoo.arch.operators import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Slice,
)

Rule = Callable[[Call, list[Shape], Mapping[str, Shape]], list[Operator]]
"""From a call, the shapes that it reads and those of what it holds, by role, to its operators."""


class UnfitError(ValueError):
    """What a call does is no operator."""


def _expect(call: Call, **wanted: Any) -> None:
    for name, value in wanted.items():
        found = call.options.get(name, value)
        if found != value:
            raise UnfitError(f"{call.kind}: {name} (={found}) must be {value}")


def _is_map(call: Call, shape: Shape) -> None:
    if len(shape) != 4:
        raise UnfitError(f"{call.kind}: its input must be a feature map NCHW (shape {shape})")


def _sides(padding: tuple[int, int]) -> tuple[int, int, int, int]:
    return (*padding, *padding)


def _conv2d(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    o, weight = call.options, held["weight"]
    padding = o["padding"] if len(o["padding"]) == 4 else _sides(o["padding"])
    return [
        Conv2d(
            in_channels=weight[1] * o["groups"], out_channels=weight[0],
            kernel_size=(weight[2], weight[3]),
            stride=o["stride"], padding=padding, dilation=o["dilation"], groups=o["groups"],
            bias="bias" in held,
        )
    ]  # fmt: skip


def _batch_norm(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _is_map(call, read[0])
    missing = [r for r in ("weight", "bias", "running_mean", "running_var") if r not in held]
    if missing:
        raise UnfitError(f"batch_norm: must have a {missing[0]}")
    o = call.options
    return [BatchNorm2d(num_features=read[0][1], eps=o["eps"], momentum=o["momentum"])]


def _linear(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    if len(read[0]) != 2:
        raise UnfitError(f"linear: its input must be flat (shape {read[0]})")
    out, features = held["weight"]
    return [Linear(in_features=features, out_features=out, bias="bias" in held)]


def _hardtanh(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, min_val=0, max_val=6)
    return [ReLU6()]


def _max_pool2d(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, dilation=(1, 1), ceil_mode=False)
    o = call.options
    return [
        MaxPool2d(
            kernel_size=o["kernel_size"], stride=o["stride"], padding=_sides(o["padding"])
        )
    ]  # fmt: skip


def _avg_pool2d(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, ceil_mode=False, divisor_override=None)
    o = call.options
    return [
        AvgPool2d(
            kernel_size=o["kernel_size"], stride=o["stride"], padding=_sides(o["padding"]),
            count_include_pad=o["count_include_pad"] and any(o["padding"]),
        )
    ]  # fmt: skip


def _adaptive_avg_pool2d(
    call: Call, read: list[Shape], held: Mapping[str, Shape]
) -> list[Operator]:
    _is_map(call, read[0])
    size = call.options["output_size"]
    return [GlobalAvgPool2d() if size == (1, 1) else AdaptiveAvgPool2d(output_size=size)]


def _mean(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _is_map(call, read[0])
    axes = sorted(axis % 4 for axis in call.options["dim"])
    if axes != [2, 3]:
        raise UnfitError(f"mean: dim (={axes}) must be height and width")
    return [GlobalAvgPool2d(), *([] if call.options["keepdim"] else [Flatten()])]


def _flatten(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    if len(call.shape) != 2 or call.shape[0] != read[0][0]:
        raise UnfitError(f"{call.kind}: shape {read[0]} to {call.shape} must keep the images apart")
    return [Flatten()]


def _dropout(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    return [Dropout(p=call.options["p"])]


def _two(make: type[Operator]) -> Rule:
    def rule(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
        if len(read) != 2:
            raise UnfitError(f"{call.kind}: by a number or a parameter")
        return [make()]

    return rule


def _cat(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, dim=1)
    return [Concat()]


def _index_select(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, dim=1)
    return [ChannelPermute(indices=call.options["indices"])]


def _slice(call: Call, read: list[Shape], held: Mapping[str, Shape]) -> list[Operator]:
    _expect(call, dim=1, step=1)
    return [Slice(start=call.options["start"], stop=call.options["end"])]


def _plain(make: type[Operator]) -> Rule:
    return lambda call, read, held: [make()]


RULES: dict[str, Rule] = {
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "add": _two(Add),
    "avg_pool2d": _avg_pool2d,
    "batch_norm": _batch_norm,
    "cat": _cat,
    "channel_shuffle": lambda call, read, held: [
        ChannelShuffle(groups=call.options["groups"], order=call.options["order"])
    ],
    "conv2d": _conv2d,
    "dropout": _dropout,
    "flatten": _flatten,
    "hardsigmoid": _plain(HardSigmoid),
    "hardswish": _plain(HardSwish),
    "hardtanh": _hardtanh,
    "index_select": _index_select,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "mean": _mean,
    "mul": _two(Mul),
    "relu": _plain(ReLU),
    "relu6": _plain(ReLU6),
    "reshape": _flatten,
    "sigmoid": _plain(Sigmoid),
    "silu": _plain(SiLU),
    "slice": _slice,
    "stochastic_depth": lambda call, read, held: [Dropout(p=call.options["p"], of="image")],
}
"""Function → its rule."""
