"""What networks of tokens compute with."""

from __future__ import annotations

import math

from zoo.adoption.program import Call
from zoo.adoption.rules import moves
from zoo.adoption.rules.rule import Held, Rule, UnfitError, expect, plain
from zoo.arch import Operator, Shape
from zoo.arch.operators import (
    Concat,
    ConcatAlong,
    Expand,
    Flatten,
    GroupNorm,
    Index,
    LayerNorm,
    MatMul,
    Narrow,
    Normalize,
    Permute,
    Reshape,
    Roll,
    ScaledDotProductAttention,
    Slice,
    Softmax,
    Weight,
)


def _layer_norm(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    if len(set(held) & {"weight", "bias"}) == 1:
        raise UnfitError(f"layer_norm: must have a weight and a bias, or neither ({[*held]} alone)")
    shape = tuple(call.options["normalized_shape"])
    return [LayerNorm(normalized_shape=shape, eps=call.options["eps"], affine=bool(held))]


def _group_norm(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    missing = [role for role in ("weight", "bias") if role not in held]
    if missing:
        raise UnfitError(f"group_norm: must have a {missing[0]}")
    o = call.options
    return [GroupNorm(num_groups=o["num_groups"], num_channels=read[0][1], eps=o["eps"])]


def _reshape(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    shape, before = call.shape, read[0]
    if call.images >= 0 and len(shape) == 2 < len(before) and shape[0] == before[0]:
        return [Flatten()]
    if math.prod(shape) != math.prod(before):
        raise UnfitError(f"{call.kind}: shape {before} to {shape} must keep the images apart")
    return [Reshape(shape=shape[1:])]


def _axis(call: Call, read: list[Shape], name: str = "dim") -> int:
    return int(call.options[name]) % len(read[0])


def _softmax(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, dtype=None)
    return [Softmax(dim=_axis(call, read))]


def _slice(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    o, dim = call.options, _axis(call, read)
    if dim == 1 and o["step"] == 1:
        return [Slice(start=o["start"], stop=o["end"])]
    return [Narrow(dim=dim, start=o["start"], stop=o["end"], step=o["step"])]


def _cat(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    dim = _axis(call, read)
    if dim == 0 and call.images >= 0:
        raise UnfitError("cat: of images")
    return [Concat() if dim == 1 else ConcatAlong(dim=dim)]


def _index(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    dim, indices = _axis(call, read), tuple(call.options["indices"])
    if dim == 1 and sorted(indices) == list(range(read[0][1])):
        return moves.RULES["index_select"](call, read, held)
    made = (*read[0][:dim], len(indices), *read[0][dim + 1 :])
    found: list[Operator] = [Index(dim=dim, indices=indices)]
    return found if made == call.shape else [*found, Reshape(shape=call.shape[1:])]


def _attention(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, dropout_p=0.0, is_causal=False, enable_gqa=False)
    scale = call.options["scale"]
    return [ScaledDotProductAttention(scale=1 / math.sqrt(read[0][-1]) if scale is None else scale)]


def _normalize(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [Normalize(dim=_axis(call, read), eps=call.options["eps"])]


def _roll(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    dims = tuple(d % len(read[0]) for d in call.options["dims"])
    if not dims or 0 in dims:
        raise UnfitError(f"roll: dims (={dims}) must be axes behind the images")
    return [Roll(shifts=tuple(call.options["shifts"]), dims=dims)]


def _weight(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    return [Weight(shape=held["weight"], trainable=call.options["trainable"])]


RULES: dict[str, Rule] = {
    "cat": _cat,
    "expand": plain(Expand),
    "flatten": _reshape,
    "group_norm": _group_norm,
    "index": _index,
    "layer_norm": _layer_norm,
    "matmul": plain(MatMul),
    "normalize": _normalize,
    "permute": plain(Permute, "dims"),
    "reshape": _reshape,
    "roll": _roll,
    "scaled_dot_product_attention": _attention,
    "slice": _slice,
    "softmax": _softmax,
    "weight": _weight,
}
