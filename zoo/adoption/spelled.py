"""Functions that are several of ours, spelled out: quotients, stacks, lengths.

Each is made of calls that there are rules for; where one does not fit, it stays, to be refused.
"""

from __future__ import annotations

import math

import numpy as np

from zoo.adoption.program import Call, Program
from zoo.adoption.spelled_moves import MOVES
from zoo.adoption.spelling import Speller, Spelling
from zoo.arch import Shape

BROADCAST = frozenset({"add", "div", "mul"})
"""Functions of two values that repeat the smaller one by themselves."""


def spelled(program: Program) -> Program:
    """Return the program with these functions spelled out."""
    readers, shapes = program.readers(), program.shapes()
    images = {program.input: 0} | {call.name: call.images for call in program.calls}
    calls: list[Call] = []
    for call in program.calls:
        if call.kind == "expand" and _is_needless(call, readers[call.name], shapes):
            call.kind, call.shape = "identity", shapes[call.inputs[0]]
            shapes[call.name], images[call.name] = call.shape, images[call.inputs[0]]
        write = SPELLERS.get(call.kind)
        spelling = Spelling(call, shapes, images)
        if write is None or write(call, spelling) is None:
            calls.append(call)
            continue
        spelling.calls[-1].name = call.name
        calls += spelling.calls
    program.calls = calls
    return program


def _is_needless(call: Call, readers: list[Call], shapes: dict[str, Shape]) -> bool:
    """Return whether what reads a value that was expanded would do so itself."""
    return bool(readers) and all(
        r.kind in BROADCAST
        and len(r.inputs) == 2
        and any(name != call.name and shapes[name] == r.shape for name in r.inputs)
        for r in readers
    )


def _power(exponent: float) -> Speller:
    def write(call: Call, to: Spelling) -> str:
        return to.add("pow", call.inputs, call.shape, exponent=exponent)

    return write


def _whole_power(call: Call, to: Spelling) -> str | None:
    x, exponent = call.inputs[0], call.options.get("exponent", 2)
    if exponent not in (1, 2, 3):
        return None
    made = x if exponent > 1 else to.add("identity", [x], call.shape)
    for _ in range(int(exponent) - 1):
        made = to.add("mul", [made, x], call.shape)
    return made


def _quotient(call: Call, to: Spelling) -> str | None:
    x, by = call.inputs
    return to.add("mul", [x, to.add("pow", [by], to.shapes[by], exponent=-1.0)], call.shape)


def _length(call: Call, to: Spelling) -> str | None:
    o, (x,) = call.options, call.inputs
    if o["ord"] != 2 or not o["dim"]:
        return None
    square = to.add("mul", [x, x], to.shapes[x])
    total = to.add("sum", [square], call.shape, dim=list(o["dim"]), keepdim=o["keepdim"])
    return to.add("pow", [total], call.shape, exponent=0.5)


def _sum_of_product(call: Call, to: Spelling) -> str:
    x, *factors = call.inputs
    shape = np.broadcast_shapes(*(to.shapes[name] for name in factors))
    product = to.add("mul", factors, shape)
    if call.options["value"] != 1:
        product = to.add("mul_scalar", [product], shape, value=float(call.options["value"]))
    return to.add("add", [x, product], call.shape)


def _of_weights(call: Call, to: Spelling) -> str | None:
    """A softmax along the first axis of what is the same of all images."""
    if call.images >= 0 or call.options["dim"] % len(call.shape):
        return None
    x = to.add("reshape", call.inputs, (1, *call.shape))
    x = to.add("softmax", [x], (1, *call.shape), dim=1, dtype=call.options["dtype"])
    return to.add("reshape", [x], call.shape)


def _half_affine(call: Call, to: Spelling) -> str | None:
    """A layer norm with a weight alone, or a bias, has it beside."""
    if len(call.held) != 1:
        return None
    ((role, name),) = call.held.items()
    x = to.add("layer_norm", call.inputs, call.shape, **call.options)
    shape = tuple(call.options["normalized_shape"])
    held = to.add("weight", [], shape, held={"weight": name}, trainable=True)
    return to.add("mul" if role == "weight" else "add", [x, held], call.shape)


def _half_affine_groups(call: Call, to: Spelling) -> str | None:
    """A group norm without a weight, or a bias, is a plain norm of each group, the other beside."""
    if len(call.held) == 2:
        return None
    (n, channels, *size), o = call.shape, call.options
    groups = o["num_groups"]
    apart = (n, groups, channels // groups * math.prod(size))
    x = to.add("reshape", call.inputs, apart)
    x = to.add("layer_norm", [x], apart, normalized_shape=apart[2:], eps=o["eps"])
    x = to.add("reshape", [x], call.shape)
    for role, name in call.held.items():
        held = to.add("weight", [], (channels,), held={"weight": name}, trainable=True)
        held = to.add("reshape", [held], (channels, *(1,) * len(size)))
        x = to.add("mul" if role == "weight" else "add", [x, held], call.shape)
    return x


def _stack(call: Call, to: Spelling) -> str:
    dim, shape = call.options["dim"] % len(call.shape), call.shape
    if dim == 0 and call.images == 1:  # beside one another behind the images, and seen before them
        made = (shape[1], shape[0], *shape[2:])
        one = (shape[1], 1, *shape[2:])
        parts = [to.add("reshape", [name], one, images=0) for name in call.inputs]
        x = to.add("cat", parts, made, dim=1, images=0)
        return to.add("permute", [x], shape, dims=(1, 0, *range(2, len(shape))))
    one = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    parts = [to.add("reshape", [name], one) for name in call.inputs]
    return to.add("cat", parts, call.shape, dim=dim)


def _in_rows(kind: str) -> Speller:
    """What works on rows (N, C, L), or on (N, C), does so on maps (N, C, 1, L)."""

    def write(call: Call, to: Spelling) -> str | None:
        source, (n, channels) = to.shapes[call.inputs[0]], call.shape[:2]
        if len(source) not in (2, 3):
            return None
        x = to.add("reshape", call.inputs, (*source[:2], 1, *(source[2:] or (1,))))
        made = (n, channels, 1, *(call.shape[2:] or (1,)))
        x = to.add(kind, [x], made, held=call.held, **call.options)
        return to.add("reshape", [x], call.shape)

    return write


SPELLERS: dict[str, Speller] = {
    **MOVES,
    "addcmul": _sum_of_product,
    "avg_pool1d": _in_rows("avg_pool2d"),
    "batch_norm": _in_rows("batch_norm"),
    "conv1d": _in_rows("conv2d"),
    "div": _quotient,
    "group_norm": _half_affine_groups,
    "layer_norm": _half_affine,
    "pow": _whole_power,
    "reciprocal": _power(-1.0),
    "rsqrt": _power(-0.5),
    "softmax": _of_weights,
    "sqrt": _power(0.5),
    "square": _whole_power,
    "stack": _stack,
    "vector_norm": _length,
}
"""Function → what spells it out."""
