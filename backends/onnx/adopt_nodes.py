"""Layers and pools of ONNX in PyTorch's terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backends.onnx import adopt_functions, adopt_moves
from backends.onnx.adopt_functions import number
from backends.onnx.adopt_node import At, Read, Step, plain
from zoo.adoption.einsum import steps as einsum_steps


def _padding(at: At) -> Any:
    mode = at.text("auto_pad", "NOTSET")
    if mode == "SAME_UPPER":
        return mode
    if mode not in ("NOTSET", "VALID"):
        raise at.unfit(f"auto_pad (={mode}) must be NOTSET, VALID or SAME_UPPER")
    pads = tuple(map(int, at.values.get("pads", (0, 0, 0, 0))))
    return pads if mode == "NOTSET" else (0, 0, 0, 0)


def _conv(at: At) -> list[Step]:
    held, weight = at.held("weight", "bias"), at.constant(1, "the weight")
    if weight.ndim != 4:
        raise at.unfit(f"a weight of shape {weight.shape} must have 4 dimensions")
    options = {
        "stride": at.pair("strides"), "padding": _padding(at), "dilation": at.pair("dilations"),
        "groups": int(at.values.get("group", 1)),
    }  # fmt: skip
    return [at.step("conv2d", held=held, **options)]


def _conv_transpose(at: At) -> list[Step]:
    (step,) = _conv(at)
    if "output_shape" in at.values or at.text("auto_pad", "NOTSET") != "NOTSET":
        raise at.unfit("must tell its padding, not output_shape or auto_pad")
    top, left, bottom, right = step.options["padding"]
    added = at.pair("output_padding", (0, 0))
    more = {
        "padding": (top, left),
        "output_padding": (added[0] + top - bottom, added[1] + left - right),
    }
    return [replace(step, kind="conv_transpose2d", options={**step.options, **more})]


def _batch_norm(at: At) -> list[Step]:
    momentum = round(1 - number(at.values.get("momentum", 0.9)), 8)
    held = at.held("weight", "bias", "running_mean", "running_var")
    return [at.step("batch_norm", held=held, eps=_eps(at), momentum=momentum)]


def _eps(at: At) -> float:
    return number(at.values.get("epsilon", 1e-5))


def _layer_norm(at: At) -> list[Step]:
    held, shape = at.held("weight", "bias"), at.shape()
    axis = at.values.get("axis", -1) % len(shape)
    options: dict[str, Any] = {"normalized_shape": shape[axis:], "eps": _eps(at)}
    if "bias" in held:
        return [at.step("layer_norm", held=held, **options)]
    if (at.constant(1, "the weight") == 1).all():
        return [at.step("layer_norm", **options)]
    normal = at.part(":normal", shape, "layer_norm", at.node.input[0], **options)
    return [normal, at.step("mul", normal.output, held["weight"])]


def _instance_norm(at: At) -> list[Step]:
    held, channels = at.held("weight", "bias"), at.shape()[1]
    return [at.step("group_norm", held=held, num_groups=channels, eps=_eps(at))]


def _group_norm(at: At) -> list[Step]:
    held, groups, channels = at.held("weight", "bias"), at.values["num_groups"], at.shape()[1]
    if at.opset < 21:  # one of each group
        for role, name in held.items():
            array = np.repeat(at.known.constants[name], channels // groups)
            at.known.constants[f"{name}:each"] = array
            held[role] = f"{name}:each"
    return [at.step("group_norm", held=held, num_groups=int(groups), eps=_eps(at))]


def _as_weight(at: At, turned: bool) -> str:
    """Return the weight (out, in) of a linear layer, of which a product may have the transpose."""
    name = at.node.input[1]
    array = at.constant(1, "the weight")
    maker = at.known.makers.get(name)
    if not turned and maker is not None and maker.op_type == "Transpose" and array.ndim == 2:
        return str(maker.input[0])
    if turned:
        return name
    at.known.constants[f"{name}:turned"] = array.T
    if name in at.known.learned:
        at.known.learned.add(f"{name}:turned")
    return f"{name}:turned"


def _gemm(at: At) -> list[Step]:
    for name, wanted in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        found = at.values.get(name, wanted)
        if found != wanted:
            raise at.unfit(f"{name} (={found}) must be {wanted}")
    held = at.held("weight", "bias") | {"weight": _as_weight(at, bool(at.values.get("transB")))}
    return [at.step("linear", held=held)]


def _matmul(at: At) -> list[Step]:
    array = at.known.constants.get(at.node.input[1])
    if array is None or array.ndim != 2:
        return [at.step("matmul", *at.node.input)]
    return [at.step("linear", held={"weight": _as_weight(at, False)})]


def _softmax(at: At) -> list[Step]:
    rank = len(at.shape())
    axis = at.values.get("axis", -1 if at.opset >= 13 else 1) % rank
    if at.opset < 13 and axis != rank - 1:
        raise at.unfit(f"axis (={axis}) must be the last one: before opset 13 it is over all after")
    return [at.step("softmax", dim=axis)]


def _einsum(at: At) -> list[Step]:
    names = tuple(at.node.input)
    shapes = tuple(at.shape(i) for i in range(len(names)))
    found = []
    for end, function, inputs, shape, dims in einsum_steps(at.text("equation", ""), names, shapes):
        read = tuple(f"{at.node.output[0]}{n}" if n.startswith("_") else n for n in inputs)
        still = function == "permute" and dims == tuple(range(len(dims)))
        kind = "identity" if still else function
        options = {"dims": dims} if kind == "permute" else {}
        found.append(Step(f"{at.node.output[0]}{end}", kind, read, options, {}, shape))
    return found


def _attention(at: At) -> list[Step]:
    if len(at.shape()) != 4 or at.values.get("is_causal") or len(at.node.output) > 1:
        raise at.unfit("must be of four axes, not causal, and return one value")
    options = {"dropout_p": 0.0, "is_causal": False, "scale": at.values.get("scale")}
    return [at.step("scaled_dot_product_attention", *filter(None, at.node.input), **options)]


def _pool(at: At) -> list[Step]:
    options: dict[str, Any] = {
        "kernel_size": at.pair("kernel_shape", ()),
        "stride": at.pair("strides"),
        "padding": _padding(at),
        "ceil_mode": bool(at.values.get("ceil_mode", 0)),
    }
    if at.kind == "MaxPool":
        return [at.step("max_pool2d", **options, dilation=at.pair("dilations"))]
    counts = bool(at.values.get("count_include_pad", 0))
    return [at.step("avg_pool2d", **options, count_include_pad=counts, divisor_override=None)]


REDUCTIONS = {
    "ReduceL2": "vector_norm", "ReduceMax": "amax", "ReduceMean": "mean", "ReduceSum": "sum",
    "ReduceSumSquare": "sum",
}  # fmt: skip


def _reduction(at: At) -> list[Step]:
    axes = at.whole(1, "axes")
    if axes is None:
        raise at.unfit("over all axes")
    more = {"ord": 2} if at.kind == "ReduceL2" else {}
    keep = bool(at.values.get("keepdims", 1))
    x = at.node.input[0]
    squares = [at.part(":squares", at.shape(), "mul", x, x)] if at.kind.endswith("Square") else []
    read = squares[0].output if squares else x
    return [*squares, at.step(REDUCTIONS[at.kind], read, dim=axes, keepdim=keep, **more)]


def _resize(at: At) -> list[Step]:
    mode = at.text("mode", "nearest")
    way = at.text("coordinate_transformation_mode", "half_pixel")
    near = at.text("nearest_mode", "round_prefer_floor")
    ways = {
        ("nearest", "asymmetric", "floor"): ("nearest", False),
        ("linear", "half_pixel", near): ("bilinear", False),
        ("linear", "pytorch_half_pixel", near): ("bilinear", False),
        ("linear", "align_corners", near): ("bilinear", True),
    }
    if (mode, way, near) not in ways or at.values.get("antialias"):
        raise at.unfit(f"mode (={mode}), {way}, {near}")
    scales = None
    if at.has(2):
        found = at.constant(2, "scales")
        scales = [float(s) for s in found[-2:]] if found.size else None
    kind, aligned = ways[mode, way, near]
    return [at.step("upsample", mode=kind, scale_factors=scales, align_corners=aligned)]


def _upsample(at: At) -> list[Step]:
    """Read what Resize was called before opset 10."""
    mode = at.text("mode", "nearest")
    if mode != "nearest":
        raise at.unfit(f"mode (={mode}) must be nearest")
    found: Any = at.constant(1, "scales") if at.has(1) else at.values["scales"]
    return [at.step("upsample", mode=mode, scale_factors=[float(s) for s in found[-2:]])]


READ: dict[str, Read] = adopt_functions.READ | adopt_moves.READ | {
    "Attention": _attention,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dropout": plain("identity"),
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GlobalAveragePool": plain("adaptive_avg_pool2d", output_size=(1, 1)),
    "GlobalMaxPool": plain("adaptive_max_pool2d", output_size=(1, 1)),
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "ReduceL2": _reduction,
    "ReduceMax": _reduction,
    "ReduceMean": _reduction,
    "ReduceSum": _reduction,
    "ReduceSumSquare": _reduction,
    "Resize": _resize,
    "Upsample": _upsample,
    "Softmax": _softmax,
}  # fmt: skip
"""Operator → what it means."""
