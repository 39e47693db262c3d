"""Moves spelled out: pads of any axes, repetitions, windows cut out of a map and put back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from zoo.adoption.program import Call
from zoo.adoption.spelling import Speller, Spelling


def _padded(call: Call, to: Spelling) -> str | None:
    """Pad one axis or two of any, which become those of a map."""
    widths, (x,) = call.options["widths"], call.inputs
    source = to.shapes[x]
    pairs = enumerate(zip(widths[::2], widths[1::2], strict=True))
    by = {len(source) - 1 - i: pair for i, pair in pairs if any(pair)}
    padded = sorted(by)
    if not 1 <= len(padded) <= 2 or call.images in padded or call.images > 0:
        return None
    first = [0] if call.images == 0 else []
    order = [*first, *(i for i in range(len(source)) if i not in (*first, *padded)), *padded]
    turned = tuple(source[i] for i in order)
    made = tuple(call.shape[i] for i in order)
    if order != sorted(order):
        x = to.add("permute", [x], turned, dims=tuple(order))
    lead = source[0] if first else 1
    rest = math.prod(turned[len(first) : -len(padded)])
    one = (1,) * (2 - len(padded))
    x = to.add("reshape", [x], (lead, rest, *one, *turned[-len(padded) :]))
    sides = [(0, 0)] * len(one) + [by[i] for i in padded]
    x = to.add(
        "pad", [x], (lead, rest, *one, *made[-len(padded) :]),
        sides=(sides[0][0], sides[1][0], sides[0][1], sides[1][1]),
        mode=call.options["mode"], value=call.options["value"],
    )  # fmt: skip
    x = to.add("reshape", [x], made)
    if order != sorted(order):
        back = tuple(order.index(i) for i in range(len(order)))
        x = to.add("permute", [x], call.shape, dims=back)
    return x


def _repeated(call: Call, to: Spelling) -> str | None:
    """Repeat a value along axes: as a whole, as ``repeat`` and ``expand`` do."""
    (x, *_), made = call.inputs, call.shape
    source = to.shapes[x]
    shape = (1,) * (len(made) - len(source)) + source
    if call.kind == "expand" and source == made:
        return None
    if len(shape) != len(source):
        x = to.add("reshape", [x], shape)
    for dim, (n, m) in enumerate(zip(shape, made, strict=True)):
        if m % n:
            return None
        if m != n and dim != call.images:
            x, shape = to.indexed(x, shape, dim, list(range(n)) * (m // n))
    # What is the same of all images becomes one of each.
    return to.add("expand", [x], made)


def _each_repeated(call: Call, to: Spelling) -> str | None:
    (x,), o = call.inputs, call.options
    source, times = to.shapes[x], o["repeats"]
    dim = o["dim"] % len(source)
    if dim == call.images == 0:
        x = to.add("reshape", [x], (source[0], 1, *source[1:]))
        x, _ = to.indexed(x, (source[0], 1, *source[1:]), 1, [0] * times)
        return to.add("reshape", [x], call.shape)
    return to.indexed(x, source, dim, [i for i in range(source[dim]) for _ in range(times)])[0]


def _slid(call: Call, to: Spelling) -> str | None:
    """``Tensor.unfold``: the windows of an axis, their places as the last one."""
    o, (x,) = call.options, call.inputs
    source, size = to.shapes[x], o["size"]
    dim = o["dimension"] % len(source)
    if call.images >= dim:
        return None
    starts = range(0, source[dim] - size + 1, o["step"])
    x, _ = to.indexed(x, source, dim, [start + i for start in starts for i in range(size)])
    apart = (*source[:dim], len(starts), size, *source[dim + 1 :])
    x = to.add("reshape", [x], apart)
    order = (*(i for i in range(len(apart)) if i != dim + 1), dim + 1)
    return to.add("permute", [x], call.shape, dims=order)


def _offsets(o: Any, size: tuple[int, ...]) -> Iterator[list[int]]:
    """Yield, for each offset in a window, the places (row by row) that it sees of a padded map."""
    k, s, d = (o[name] for name in ("kernel_size", "stride", "dilation"))
    counts = [(size[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1)]
    for y, x in itertools.product(range(k[0]), range(k[1])):
        yield [
            (y * d[0] + i * s[0]) * size[1] + x * d[1] + j * s[1]
            for i in range(counts[0]) for j in range(counts[1])
        ]  # fmt: skip


def _cut_out(call: Call, to: Spelling) -> str | None:
    """``im2col``: what each offset of a window sees."""
    o, (x,) = call.options, call.inputs
    n, channels, height, width = to.shapes[x]
    (p, q) = o["padding"]
    size = (height + 2 * p, width + 2 * q)
    if p or q:
        x = to.add("pad", [x], (n, channels, *size), sides=(p, q, p, q), mode="constant", value=0.0)
    flat = (n, channels, size[0] * size[1])
    x = to.add("reshape", [x], flat)
    x, _ = to.indexed(x, flat, 2, [i for seen in _offsets(o, size) for i in seen])
    return to.add("reshape", [x], call.shape)


def _put_back(call: Call, to: Spelling) -> str | None:
    """``col2im``: the sum of what all offsets of all windows have at a place."""
    o, (x,) = call.options, call.inputs
    n, channels, height, width = call.shape
    (p, q) = o["padding"]
    size = (height + 2 * p, width + 2 * q)
    places: list[list[int]] = [[] for _ in range(size[0] * size[1])]
    count = 0
    for seen in _offsets(o, size):
        for place in seen:
            places[place].append(count)
            count += 1
    kept = [places[(i + p) * size[1] + j + q] for i in range(height) for j in range(width)]
    most = max(map(len, kept))
    # Behind the values stands a zero, for the places that fewer windows see.
    x = to.add("reshape", [x], (n, channels, 1, count))
    x = to.add(
        "pad", [x], (n, channels, 1, count + 1), sides=(0, 0, 0, 1), mode="constant", value=0.0
    )
    x = to.add("reshape", [x], (n, channels, count + 1))
    chosen = [(found + [count] * most)[:most] for found in kept]
    x, _ = to.indexed(x, (n, channels, count + 1), 2, [i for found in chosen for i in found])
    x = to.add("reshape", [x], (n, channels, height * width, most))
    x = to.add("sum", [x], (n, channels, height * width), dim=[3], keepdim=False)
    return to.add("reshape", [x], call.shape)


MOVES: dict[str, Speller] = {
    "col2im": _put_back,
    "expand": _repeated,
    "im2col": _cut_out,
    "pad_axes": _padded,
    "repeat": _repeated,
    "repeat_interleave": _each_repeated,
    "unfold": _slid,
}
"""Function → what spells it out."""
