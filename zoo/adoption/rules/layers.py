"""Layers that hold arrays, and what drops values in training."""

from __future__ import annotations

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, UnfitError, plain, require_map, sides
from zoo.arch import Operator, Shape
from zoo.arch.operators import BatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Linear


def _conv2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    o, weight = call.options, held["weight"]
    weight = weight if len(weight) == 4 else (*weight[:2], 1, *weight[2:])  # of rows
    given = o["padding"]
    if given == "valid":
        given = (0, 0)
    steps = zip(o["stride"], weight[2:], strict=True)
    if given == "same" or (given == "SAME_UPPER" and all(s == 1 or k == 1 for s, k in steps)):
        whole = [d * (k - 1) for d, k in zip(o["dilation"], weight[2:], strict=True)]
        given = (whole[0] // 2, whole[1] // 2, -(-whole[0] // 2), -(-whole[1] // 2))
    return [
        Conv2d(
            in_channels=weight[1] * o["groups"], out_channels=weight[0],
            kernel_size=(weight[2], weight[3]),
            stride=o["stride"], padding=sides(given), dilation=o["dilation"],
            groups=o["groups"], bias="bias" in held,
        )
    ]  # fmt: skip


def _conv_transpose2d(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    o, weight = call.options, held["weight"]
    return [
        ConvTranspose2d(
            in_channels=weight[0], out_channels=weight[1] * o["groups"],
            kernel_size=(weight[2], weight[3]), stride=o["stride"], padding=o["padding"],
            output_padding=o["output_padding"], dilation=o["dilation"], groups=o["groups"],
            bias="bias" in held,
        )
    ]  # fmt: skip


def _batch_norm(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    missing = [r for r in ("weight", "bias", "running_mean", "running_var") if r not in held]
    if missing:
        raise UnfitError(f"batch_norm: must have a {missing[0]}")
    o = call.options
    return [BatchNorm2d(num_features=read[0][1], eps=o["eps"], momentum=o["momentum"])]


def _linear(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    out, features = held["weight"]
    return [Linear(in_features=features, out_features=out, bias="bias" in held)]


def _feature_dropout(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    require_map(call, read[0])
    return [Dropout(p=call.options["p"], of="channel")]


RULES: dict[str, Rule] = {
    "batch_norm": _batch_norm,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "dropout": plain(Dropout, "p"),
    "feature_dropout": _feature_dropout,
    "linear": _linear,
    "stochastic_depth": plain(Dropout, "p", of="image"),
}
