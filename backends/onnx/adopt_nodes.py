"""Operators of ONNX in PyTorch's terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto

from backends.onnx import adopt_functions
from backends.onnx.adopt_fold import Known, UnknownError
from backends.onnx.adopt_node import Read, Step, plain


def _sides(pads: Any) -> tuple[int, int, int, int]:
    top, left, bottom, right = map(int, pads)
    return (top, left, bottom, right)


def _padding(node: NodeProto, values: dict[str, Any], kernel: Any) -> tuple[int, int, int, int]:
    mode = values.get("auto_pad", b"NOTSET")
    if mode == b"VALID":
        return (0, 0, 0, 0)
    if mode != b"NOTSET":
        raise UnknownError(f"{node.op_type}: auto_pad (={mode.decode()}) must be NOTSET")
    return _sides(values.get("pads", (0, 0, 0, 0)))


def _pair(value: Any) -> tuple[int, int]:
    if len(value) != 2:
        raise UnknownError(f"a window of {len(value)} dimensions must have 2")
    return (int(value[0]), int(value[1]))


def _conv(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    weight = known.constant(node.input[1], "Conv: the weight")
    if weight.ndim != 4:
        raise UnknownError(f"Conv: a weight of shape {weight.shape} must have 4 dimensions")
    held = {"weight": node.input[1]}
    if len(node.input) > 2 and node.input[2]:
        known.constant(node.input[2], "Conv: the bias")
        held["bias"] = node.input[2]
    options = {
        "stride": _pair(values.get("strides", (1, 1))),
        "padding": _padding(node, values, weight.shape[2:]),
        "dilation": _pair(values.get("dilations", (1, 1))),
        "groups": int(values.get("group", 1)),
    }
    return [Step(node.output[0], "conv2d", (node.input[0],), options, held)]


def _batch_norm(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    roles = ("weight", "bias", "running_mean", "running_var")
    for role, name in zip(roles, node.input[1:], strict=True):
        known.constant(name, f"BatchNormalization: {role}")
    options = {
        "eps": float(np.float32(values.get("epsilon", 1e-5)).astype(str)),
        "momentum": round(1 - float(np.float32(values.get("momentum", 0.9)).astype(str)), 8),
    }
    held = dict(zip(roles, node.input[1:], strict=True))
    return [Step(node.output[0], "batch_norm", (node.input[0],), options, held)]


def _gemm(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    for name, wanted in (("alpha", 1.0), ("beta", 1.0), ("transA", 0), ("transB", 1)):
        found = values.get(name, 0 if name.startswith("trans") else 1.0)
        if found != wanted:
            raise UnknownError(f"Gemm: {name} (={found}) must be {wanted}")
    known.constant(node.input[1], "Gemm: the weight")
    held = {"weight": node.input[1]}
    if len(node.input) > 2 and node.input[2]:
        known.constant(node.input[2], "Gemm: the bias")
        held["bias"] = node.input[2]
    return [Step(node.output[0], "linear", (node.input[0],), {}, held)]


def _pool(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    kernel = _pair(values["kernel_shape"])
    options = {
        "kernel_size": kernel,
        "stride": _pair(values.get("strides", (1, 1))),
        "padding": _padding(node, values, kernel),
        "ceil_mode": bool(values.get("ceil_mode", 0)),
    }
    if node.op_type == "MaxPool":
        more: dict[str, Any] = {"dilation": _pair(values.get("dilations", (1, 1)))}
        return [Step(node.output[0], "max_pool2d", (node.input[0],), options | more)]
    more = {
        "count_include_pad": bool(values.get("count_include_pad", 0)),
        "divisor_override": None,
    }
    return [Step(node.output[0], "avg_pool2d", (node.input[0],), options | more)]


def _reduction(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    axes = values.get("axes")
    if len(node.input) > 1 and node.input[1]:
        axes = known.constant(node.input[1], f"{node.op_type}: axes").tolist()
    if axes is None:
        raise UnknownError(f"{node.op_type}: over all axes")
    options = {"dim": [int(a) for a in axes], "keepdim": bool(values.get("keepdims", 1))}
    kind = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax"}[node.op_type]
    return [Step(node.output[0], kind, (node.input[0],), options)]


def _pad(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    if len(node.input) > 3 and node.input[3]:
        raise UnknownError("Pad: of some axes")
    given = [known.constant(name, "Pad: its arguments") for name in node.input[1:3] if name]
    pads = (given[0] if given else np.array(values["pads"])).tolist()
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)):
        raise UnknownError(f"Pad: pads (={pads}) must be of height and width alone")
    mode = values.get("mode", b"constant").decode()
    options = {
        "sides": (pads[2], pads[3], pads[6], pads[7]),
        "mode": "replicate" if mode == "edge" else mode,
        "value": float(given[1]) if len(given) > 1 else float(values.get("value", 0.0)),
    }
    return [Step(node.output[0], "pad", (node.input[0],), options)]


def _reshape(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    return [Step(node.output[0], "reshape", (node.input[0],))]


def _transpose(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    order = list(values.get("perm", ()))
    moved = tuple(i for i, axis in enumerate(order) if axis != i)
    return [Step(node.output[0], "transpose", (node.input[0],), {"dims": moved})]


def _cut(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    names = [name for name in node.input[1:] if name]
    starts, ends, *rest = (known.constant(n, "Slice: a bound").ravel() for n in names)
    axes = rest[0] if rest else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 else np.ones(len(starts), int)
    if len(starts) != 1 or node.input[0] not in known.shapes:
        raise UnknownError("Slice: it must cut one axis")
    axis = int(axes[0])
    size = known.shapes[node.input[0]][axis]
    start, end, step = (int(v[0]) for v in (starts, ends, steps))
    start, end, _ = slice(start, end).indices(size)
    options = {"dim": axis, "start": start, "end": end, "step": step}
    return [Step(node.output[0], "slice", (node.input[0],), options)]


def _split(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    axis, start, found = int(values.get("axis", 0)), 0, []
    for output in node.output:
        if output not in known.shapes:
            raise UnknownError(f"Split: the shape of {output} is not known")
        end = start + known.shapes[output][axis]
        options = {"dim": axis, "start": start, "end": end, "step": 1}
        found.append(Step(output, "slice", (node.input[0],), options))
        start = end
    return found


def _gather(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    indices = known.constant(node.input[1], "Gather: the indices")
    options = {"dim": int(values.get("axis", 0)), "indices": tuple(map(int, indices.ravel()))}
    return [Step(node.output[0], "index_select", (node.input[0],), options)]


def _cat(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    return [Step(node.output[0], "cat", tuple(node.input), {"dim": int(values["axis"])})]


def _global(kind: str) -> Read:
    def read(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
        options = {"output_size": (1, 1)}
        return [Step(node.output[0], f"adaptive_{kind}_pool2d", (node.input[0],), options)]

    return read


def _resize(node: NodeProto, values: dict[str, Any], known: Known, opset: int) -> list[Step]:
    mode = values.get("mode", b"nearest").decode()
    at = values.get("coordinate_transformation_mode", b"half_pixel").decode()
    near = values.get("nearest_mode", b"round_prefer_floor").decode()
    ways = {
        ("nearest", "asymmetric", "floor"): ("nearest", False),
        ("linear", "half_pixel", near): ("bilinear", False),
        ("linear", "pytorch_half_pixel", near): ("bilinear", False),
        ("linear", "align_corners", near): ("bilinear", True),
    }
    if (mode, at, near) not in ways or values.get("antialias"):
        raise UnknownError(f"Resize: mode (={mode}), {at}, {near}")
    scales = None
    if len(node.input) > 2 and node.input[2]:
        found = known.constant(node.input[2], "Resize: scales")
        scales = [float(s) for s in found[-2:]] if found.size else None
    kind, aligned = ways[mode, at, near]
    options = {"mode": kind, "scale_factors": scales, "align_corners": aligned}
    return [Step(node.output[0], "upsample", (node.input[0],), options)]


def _conv_transpose(
    node: NodeProto, values: dict[str, Any], known: Known, opset: int
) -> list[Step]:
    (step,) = _conv(node, values, known, opset)
    top, left, bottom, right = step.options["padding"]
    added = _pair(values.get("output_padding", (0, 0)))
    more = {
        "padding": (top, left),
        "output_padding": (added[0] + top - bottom, added[1] + left - right),
    }
    if "output_shape" in values:
        raise UnknownError("ConvTranspose: output_shape must not be given")
    return [replace(step, kind="conv_transpose2d", options={**step.options, **more})]


READ: dict[str, Read] = adopt_functions.READ | {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Concat": _cat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dropout": plain("identity"),
    "Flatten": plain("flatten"),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global("avg"),
    "GlobalMaxPool": _global("max"),
    "Identity": plain("identity"),
    "MaxPool": _pool,
    "Pad": _pad,
    "ReduceMax": _reduction,
    "ReduceMean": _reduction,
    "ReduceSum": _reduction,
    "Resize": _resize,
    "Reshape": _reshape,
    "Slice": _cut,
    "Split": _split,
    "Squeeze": plain("reshape"),
    "Transpose": _transpose,
}
"""Operator → what it means."""
