"""What moves values, among ONNX's operators, in PyTorch's terms."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from backends.onnx.adopt_node import At, Read, Step, plain


def _pad(at: At) -> list[Step]:
    if at.has(3):
        raise at.unfit("of some axes")
    pads = at.whole(1, "pads") or []
    if not any(pads):
        return [at.step("identity")]
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)):
        raise at.unfit(f"pads (={pads}) must be of height and width alone")
    mode = at.text("mode", "constant")
    value = at.constant(2, "the value") if at.has(2) else at.values.get("value", 0.0)
    sides = (pads[2], pads[3], pads[6], pads[7])
    mode = "replicate" if mode == "edge" else mode
    return [at.step("pad", sides=sides, mode=mode, value=float(value))]


def _transpose(at: At) -> list[Step]:
    rank = len(at.shape())
    order = tuple(at.values.get("perm", range(rank)[::-1]))
    moved = tuple(i for i, axis in enumerate(order) if axis != i)
    if len(moved) == 2:
        return [at.step("transpose", dims=moved)]
    return [at.step("permute", dims=order)]


def _bounds(at: At) -> list[tuple[int, int, int, int]]:
    """Return (axis, start, end, step) of what a Slice cuts."""
    shape = at.shape()
    starts, ends = (at.whole(i, name) or [] for i, name in ((1, "starts"), (2, "ends")))
    axes = at.whole(3, "axes") or list(range(len(starts)))
    steps = at.whole(4, "steps") or [1] * len(starts)
    found = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise at.unfit(f"steps (={step}) must be at least 1")
        found.append((axis % len(shape), *slice(start, end, step).indices(shape[axis])))
    return found


def _slice(at: At) -> list[Step]:
    shape, source, found = list(at.shape()), at.node.input[0], []
    cuts = [cut for cut in _bounds(at) if cut[1:] != (0, shape[cut[0]], 1)]
    for i, (axis, start, end, step) in enumerate(cuts):
        shape[axis] = max(0, -(-(end - start) // step))
        name = at.node.output[0] if i == len(cuts) - 1 else f"{at.node.output[0]}:{axis}"
        options = {"dim": axis, "start": start, "end": end, "step": step}
        found.append(Step(name, "slice", (source,), options, {}, tuple(shape)))
        source = name
    return found or [at.step("identity")]


def _split(at: At) -> list[Step]:
    shape, start, found = at.shape(), 0, []
    axis = at.values.get("axis", 0) % len(shape)
    for output in at.node.output:
        if output not in at.known.shapes:
            raise at.unfit(f"the shape of {output} is not known")
        end = start + at.known.shapes[output][axis]
        options = {"dim": axis, "start": start, "end": end, "step": 1}
        found.append(Step(output, "slice", (at.node.input[0],), options))
        start = end
    return found


def _gather(at: At) -> list[Step]:
    indices, shape = at.constant(1, "the indices"), at.shape()
    axis = at.values.get("axis", 0) % len(shape)
    if len(shape) == 1 and np.array_equal(indices.ravel(), np.arange(shape[0])):
        return [at.step("reshape")]  # as_strided of what is in order
    places = tuple(int(i) % shape[axis] for i in indices.ravel())
    if indices.ndim == 0:
        return [at.step("select", dim=axis, index=places[0])]
    return [at.step("index", dim=axis, indices=places)]


def _gather_nd(at: At) -> list[Step]:
    """Read what picks along axis 0 alone, as a Gather does."""
    indices = at.constant(1, "the indices")
    if indices.shape[-1:] != (1,) or at.values.get("batch_dims"):
        raise at.unfit("along several axes")
    size = at.shape()[0]
    return [at.step("index", dim=0, indices=tuple(int(i) % size for i in indices.ravel()))]


def _expand(at: At) -> list[Step]:
    return [at.step("expand")]


def _cast(at: At) -> list[Step]:
    if at.values.get("to") != TensorProto.FLOAT:
        raise at.unfit("must be to float32")
    return [at.step("identity")]


def _space(at: At) -> list[Step]:
    """Read what moves blocks of pixels to channels, or back."""
    (n, c, h, w), b = at.shape(), int(at.values["blocksize"])
    to_depth = at.kind == "SpaceToDepth"
    apart: Any = (n, c, h // b, b, w // b, b) if to_depth else (n, b, b, c // b**2, h, w)
    order = (0, 3, 5, 1, 2, 4) if to_depth else (0, 3, 4, 1, 5, 2)
    if at.text("mode", "DCR") == "CRD":
        apart, order = (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
    first = at.part(":apart", apart, "reshape", at.node.input[0])
    turned = tuple(apart[i] for i in order)
    second = at.part(":turned", turned, "permute", first.output, dims=order)
    return [first, second, at.step("reshape", second.output)]


READ: dict[str, Read] = {
    "Cast": _cast,
    "Concat": lambda at: [at.step("cat", *at.node.input, dim=int(at.values["axis"]))],
    "DepthToSpace": _space,
    "Expand": _expand,
    "Flatten": plain("flatten"),
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Identity": plain("identity"),
    "Pad": _pad,
    "Reshape": plain("reshape"),
    "Slice": _slice,
    "SpaceToDepth": _space,
    "Split": _split,
    "Squeeze": plain("reshape"),
    "Tile": _expand,
    "Transpose": _transpose,
    "Unsqueeze": plain("reshape"),
}
"""Operator → what it means."""
