"""What files write out as several functions, joined into the one that it was.

Formats without a function for it say attention as products and a softmax, a normalization as means
and roots, a roll as two parts and their join, the bias of a product as a sum. A way in that reads
such a format hands its program through here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.adoption.program import Call, Program
from zoo.adoption.simplify import unread, without_copies
from zoo.arch import Shape
from zoo.arch.operators import AdaptiveAvgPool2d, Upsample


def joined(program: Program) -> Program:
    """Return a program in which each function that was written out is one call again."""
    return _Joiner(without_copies(unread(program))).run()


class _Joiner:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls: list[Call] = []
        self.made: dict[str, Call] = {}
        self.shapes = program.shapes()
        self.readers = program.readers()

    def run(self) -> Program:
        """Return the program."""
        for call in self.program.calls:
            kind = call.kind
            for join in JOINS.get(kind, ()):
                if call.kind == kind and len(call.inputs) == ARITY.get(kind, 2):
                    join(self, call)
            self.calls.append(call)
            self.made[call.name] = call
        self.program.calls = self.calls
        return unread(self.program)

    def become(
        self, call: Call, kind: str, inputs: Sequence[str], held: Mapping[str, str], **options: Any
    ) -> None:
        """Let a call be another one."""
        call.kind, call.inputs, call.held, call.options = kind, tuple(inputs), held, options
        self.shapes[call.name] = call.shape

    def of(self, name: str, kind: str, alone: bool = False) -> Call | None:
        """Return the call that makes a value, if it is of a kind."""
        call = self.made.get(name)
        fits = call is not None and call.kind == kind
        return call if fits and not (alone and len(self.readers[name]) > 1) else None

    def array(self, name: str) -> str | None:
        """Return the full name of an array that a value is, whatever its shape."""
        call = self.made.get(name)
        while call is not None and call.kind == "reshape":
            call = self.made.get(call.inputs[0])
        return call.held["weight"] if call is not None and call.kind == "weight" else None

    def with_array(self, call: Call) -> list[tuple[str, str]]:
        """Return (value, array) of the two inputs, either way."""
        a, b = call.inputs
        return [(x, held) for x, y in ((a, b), (b, a)) if (held := self.array(y)) is not None]

    def scaled(self, name: str) -> tuple[str, float]:
        """Return what a value is a multiple of, and by which number."""
        call, by = self.of(name, "mul_scalar"), 1.0
        if call is not None:
            name, by = call.inputs[0], call.options["value"]
        return name, by

    def size(self, array: str) -> int:
        """Return how many values an array has."""
        return int(self.program.arrays[array].size)


def _bias(at: _Joiner, call: Call) -> None:
    for x, bias in at.with_array(call):
        layer = at.made.get(x)
        if layer is None or layer.kind not in ("linear", "conv2d") or len(at.readers[x]) > 1:
            continue
        channels = layer.shape[-1 if layer.kind == "linear" else 1]
        (name,) = (n for n in call.inputs if n != x)
        shape = at.shapes[name]
        along = shape[-1:] if layer.kind == "linear" else shape[-3:-2]
        if "bias" not in layer.held and at.size(bias) == channels == (*along, 0)[0]:
            at.become(call, layer.kind, layer.inputs, {**layer.held, "bias": bias}, **layer.options)
            return


def _affine(at: _Joiner, call: Call) -> None:
    """Join a normalization with the product and the sum behind it."""
    for x, bias in at.with_array(call):
        product = at.of(x, "mul", alone=True)
        for y, weight in at.with_array(product) if product is not None else ():
            norm = at.of(y, "layer_norm", alone=True)
            if norm is not None and not norm.held:
                size = math.prod(norm.options["normalized_shape"])
                if at.size(weight) == at.size(bias) == size:
                    held = {"weight": weight, "bias": bias}
                    at.become(call, "layer_norm", norm.inputs, held, **norm.options)
                    return
            _group_norm(at, call, at.of(y, "reshape"), {"weight": weight, "bias": bias})


def _group_norm(at: _Joiner, call: Call, back: Call | None, held: dict[str, str]) -> None:
    norm = at.of(back.inputs[0], "group_norm") if back is not None else None
    apart = at.of(norm.inputs[0], "reshape") if norm is not None else None
    if norm is None or apart is None or at.shapes[apart.inputs[0]] != call.shape:
        return
    ones, zeros = (at.program.arrays[norm.held[role]] for role in ("weight", "bias"))
    if norm.options["num_groups"] != apart.shape[1] or (ones != 1).any() or zeros.any():
        return
    channels, groups = call.shape[1], apart.shape[1]
    if channels % groups == 0 and all(at.size(array) == channels for array in held.values()):
        eps = norm.options["eps"]
        at.become(call, "group_norm", apart.inputs, held, num_groups=groups, eps=eps)


def _mean(at: _Joiner, name: str) -> Call | None:
    """Return what makes a mean, which may be a sum over the number of its values."""
    over = at.of(name, "mul_scalar")
    total = at.of(over.inputs[0], "sum") if over is not None else None
    if over is None or total is None:
        return at.of(name, "mean")
    count = math.prod(at.shapes[total.inputs[0]]) / math.prod(total.shape)
    return total if math.isclose(over.options["value"] * count, 1, rel_tol=1e-6) else None


def _layer_norm(at: _Joiner, call: Call) -> None:
    """Join (x - mean) / sqrt(variance + eps), as it is before opset 17."""
    difference, root = at.of(call.inputs[0], "add_times"), at.of(call.inputs[1], "sqrt")
    above = at.of(root.inputs[0], "add_scalar") if root is not None else None
    variance = _mean(at, above.inputs[0]) if above is not None else None
    square = at.made.get(variance.inputs[0]) if variance is not None else None
    if difference is None or above is None or variance is None or square is None:
        return
    x, mean = difference.inputs[0], at.of(difference.inputs[1], "mean")
    if mean is None or mean.inputs != (x,) or difference.options["alpha"] != -1:
        return
    squared = (square.kind, square.options.get("exponent")) == ("pow", 2.0)
    if not squared and (square.kind, square.inputs) != ("mul", (difference.name,) * 2):
        return
    rank = len(call.shape)
    dims = [sorted(d % rank for d in m.options["dim"]) for m in (mean, variance)]
    if square.inputs[0] == difference.name and dims == [[*range(dims[0][0], rank)]] * 2:
        shape, eps = call.shape[dims[0][0] :], above.options["value"]
        at.become(call, "layer_norm", (x,), {}, normalized_shape=shape, eps=eps)


def _attention(at: _Joiner, call: Call) -> None:
    """Join softmax(scale * q @ k.T + mask) @ v."""
    soft = at.of(call.inputs[0], "softmax", alone=True)
    if soft is None or soft.options["dim"] % len(soft.shape) != len(soft.shape) - 1:
        return
    value, mask = soft.inputs[0], list[str]()
    added = at.of(value, "add", alone=True)
    if added is not None:
        for x, other in (added.inputs, added.inputs[::-1]):
            if at.scaled(x)[0] in at.made and at.of(at.scaled(x)[0], "matmul") is not None:
                value, mask = x, [other]
                break
    value, scale = at.scaled(value)
    scores = at.of(value, "matmul", alone=True)
    if scores is None:
        return
    (q, by), (k, and_by) = map(at.scaled, scores.inputs)
    shape = at.shapes[k]
    v = at.shapes[call.inputs[1]]
    fits = len(shape) >= 3 and (*shape[:-2], shape[-1]) == v[:-1]
    if not fits or (mask and not _fits(at.shapes[mask[0]], scores.shape)):
        return
    if len(at.shapes[q]) != len(shape) or at.made.get(k) is None:
        return
    turned = replace(
        at.made[k], name=f"{call.name}:k", kind="transpose", inputs=(k,), held={},
        shape=(*shape[:-2], shape[-1], shape[-2]), options={"dims": (-2, -1)},
    )  # fmt: skip
    at.calls.append(turned)
    at.shapes[turned.name], at.made[turned.name] = turned.shape, turned
    inputs = (q, turned.name, call.inputs[1], *mask)
    at.become(
        call, "scaled_dot_product_attention", inputs, {},
        dropout_p=0.0, is_causal=False, scale=scale * by * and_by,
    )  # fmt: skip


def _fits(mask: Shape, scores: Shape) -> bool:
    return len(mask) <= len(scores) and all(
        n in (1, m) for n, m in zip(mask[::-1], scores[::-1], strict=False)
    )


def _roll(at: _Joiner, call: Call) -> None:
    """Join the end of an axis and its beginning."""
    parts = [at.of(name, "slice") for name in call.inputs]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        return
    end, begin = parts[0], parts[1]
    (x, *_), rank = end.inputs, len(call.shape)
    dim, size = call.options["dim"] % rank, call.shape[call.options["dim"]]
    cut = end.options["start"]
    wanted = [(dim, cut, size, 1), (dim, 0, cut, 1)]
    found = [
        (p.options["dim"] % rank, *(p.options[n] for n in ("start", "end", "step")))
        for p in (end, begin)
    ]
    if found != wanted or begin.inputs != end.inputs or at.shapes[x] != call.shape:
        return
    shifts, dims = [-cut if 2 * cut <= size else size - cut], [dim]
    before = at.of(x, "roll")
    alone = before is not None and all(r in (end, begin) for r in at.readers[x])
    if before is not None and alone and dim not in before.options["dims"]:
        x = before.inputs[0]
        shifts, dims = [*before.options["shifts"], *shifts], [*before.options["dims"], *dims]
    at.become(call, "roll", (x,), {}, shifts=tuple(shifts), dims=tuple(dims))


def _resampled(at: _Joiner, call: Call) -> None:
    """Join products of a map with constants from both sides: a pool or an upsampling."""
    down = at.of(call.inputs[0], "matmul", alone=True)
    rows = at.of(down.inputs[0], "weight") if down is not None else None
    if down is None or rows is None or rows.options["trainable"] or len(call.shape) != 4:
        return
    if "bias" in call.held:
        return
    x = down.inputs[1]
    held = [at.program.arrays[n] for n in (rows.held["weight"], call.held["weight"])]
    before, size = at.shapes[x][2:], (call.shape[2], call.shape[3])
    if len(before) != 2 or [a.shape for a in held] != list(zip(size, before, strict=True)):
        return
    cells = AdaptiveAvgPool2d(output_size=size).cells(at.shapes[x])
    if all(np.allclose(a, _means(c, a.shape)) for a, c in zip(held, cells, strict=True)):
        at.become(call, "adaptive_avg_pool2d", (x,), {}, output_size=size)
        return
    for mode, aligned in (("bilinear", False), ("bilinear", True), ("nearest", False)):
        op = Upsample(mode=mode, size=size, scale_factor=None, align_corners=aligned)  # type: ignore[arg-type]
        shares = [np.array(op.shares(*a.shape)) for a in held]
        if all(np.allclose(a, b) for a, b in zip(held, shares, strict=True)):
            at.become(
                call, "upsample", (x,), {}, mode=mode, scale_factors=None, align_corners=aligned
            )
            return


def _means(cells: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(shape, np.float32)
    for i, (start, stop) in enumerate(cells):
        found[i, start:stop] = 1 / (stop - start)
    return found


JOINS: dict[str, tuple[Callable[[_Joiner, Call], None], ...]] = {
    "add": (_bias, _affine),
    "cat": (_roll,),
    "div": (_layer_norm,),
    "linear": (_resampled,),
    "matmul": (_attention,),
}
"""Function, the last of those that were written out → what joins them."""
ARITY = {"linear": 1}
"""How many values they read, if not two."""
