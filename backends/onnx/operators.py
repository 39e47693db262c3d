"""Operator → ONNX nodes. Every value is stated: no default of ONNX is relied on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.onnx.emission import Emission, Emit
from backends.onnx.functions import FUNCTIONS
from backends.onnx.maps import MAPS
from backends.onnx.token_operators import TOKENS, emit_linear
from zoo.arch import Node, Operator, Shape, operators

SPLIT_TAKES_SIZES = 13
"""The opset from which the sizes of a Split are an input."""


def _window(op: operators.Window, shape: Shape) -> dict[str, Any]:
    # What hangs over with ceil_mode is told as padding: readers differ about the last window.
    return {
        "kernel_shape": op.kernel_size,
        "strides": op.stride,
        "pads": op.resolved((shape[2], shape[3])),
    }


def _conv(e: Emission, node: Node, op: operators.Conv2d, shape: Shape) -> None:
    e.add(
        "Conv",
        node.name,
        [node.inputs[0], *(f"{node.name}.{role}" for role in op.parameters())],
        dilations=op.dilation,
        group=op.groups,
        **_window(op, shape),
    )


def _max_pool(e: Emission, node: Node, op: operators.MaxPool2d, shape: Shape) -> None:
    e.add("MaxPool", node.name, node.inputs, ceil_mode=0, **_window(op, shape))


def _avg_pool(e: Emission, node: Node, op: operators.AvgPool2d, shape: Shape) -> None:
    # A mean that counts its padding is written as that of a map that was padded before. Readers
    # pass over count_include_pad (OpenCV honors it in PyTorch's files only) or read it each in
    # their own way; there is nothing to read where nothing is padded. ONNX Runtime and OpenVINO
    # make one node of the two (tests/ecosystem/test_opencv.py).
    x, window = node.inputs[0], _window(op, shape)
    if op.count_include_pad and any(window["pads"]):
        top, left, bottom, right = map(min, window["pads"], op.padding)
        pads = e.constant(f"{node.name}.pads", (0, 0, top, left, 0, 0, bottom, right))
        zero = e.constant(f"{node.name}.zero", 0.0)
        x = e.add("Pad", f"{node.name}.padded", [x, pads, zero], mode="constant")
        over = map(int.__sub__, window["pads"], (top, left, bottom, right))
        window["pads"] = tuple(over)
    e.add("AveragePool", node.name, [x], ceil_mode=0, count_include_pad=0, **window)


def _hard_sigmoid(e: Emission, node: Node, op: operators.HardSigmoid, shape: Shape) -> None:
    # OpenCV takes any product with a hard sigmoid for a hard swish, whatever the other factor is:
    # in squeeze and excitation, that is the map. The Identity keeps them apart; run-times drop it.
    x = e.add("HardSigmoid", f"{node.name}.value", node.inputs, alpha=1 / 6, beta=0.5)
    e.add("Identity", node.name, [x])


def _silu(e: Emission, node: Node, op: operators.SiLU, shape: Shape) -> None:
    gate = e.add("Sigmoid", f"{node.name}.gate", node.inputs)
    e.add("Mul", node.name, [node.inputs[0], gate])


def _adaptive_avg_pool(
    e: Emission, node: Node, op: operators.AdaptiveAvgPool2d, shape: Shape
) -> None:
    # ONNX has none: the means along each side are a product with a constant.
    (rows, columns), name = op.cells(shape), node.name
    down, across = (_means(cells, n) for cells, n in zip((rows, columns), shape[2:], strict=True))
    left = e.matrix(f"{name}.rows", down)
    right = e.matrix(f"{name}.columns", across.T)
    e.add("MatMul", name, [e.add("MatMul", f"{name}.down", [left, node.inputs[0]]), right])


def _means(cells: Sequence[tuple[int, int]], length: int) -> np.ndarray:
    found = np.zeros((len(cells), length), np.float32)
    for i, (start, stop) in enumerate(cells):
        found[i, start:stop] = 1 / (stop - start)
    return found


def _relu6(e: Emission, node: Node, op: operators.ReLU6, shape: Shape) -> None:
    bounds = [
        e.constant(f"{node.name}.{end}", value) for end, value in (("min", 0.0), ("max", 6.0))
    ]
    e.add("Clip", node.name, [node.inputs[0], *bounds])


def _batch_norm(e: Emission, node: Node, op: operators.BatchNorm2d, shape: Shape) -> None:
    held = [f"{node.name}.{role}" for role in ("weight", "bias", "running_mean", "running_var")]
    e.add("BatchNormalization", node.name, [node.inputs[0], *held], epsilon=op.eps)


def _linear(e: Emission, node: Node, op: operators.Linear, shape: Shape) -> None:
    if len(shape) > 2:
        emit_linear(e, node, op)
        return
    held = [f"{node.name}.{role}" for role in op.parameters()]
    e.add("Gemm", node.name, [node.inputs[0], *held], alpha=1.0, beta=1.0, transA=0, transB=1)


def _shuffle(e: Emission, node: Node, op: operators.ChannelShuffle, shape: Shape) -> None:
    # As PyTorch's exporter writes it, which run-times know to have a kernel for.
    rows, channels = op.rows(shape[1]), shape[1]
    # 0 is the input's own number of images: of a -1 nobody could tell that it stays the same, and
    # ONNX Runtime would not fuse the sums after it.
    apart = e.constant(f"{node.name}.apart", (0, rows, channels // rows, *shape[2:]))
    joined = e.constant(f"{node.name}.joined", (0, *shape[1:]))
    x = e.add("Reshape", f"{node.name}.rows", [node.inputs[0], apart])
    x = e.add("Transpose", f"{node.name}.columns", [x], perm=(0, 2, 1, 3, 4))
    e.add("Reshape", node.name, [x, joined])


def _permute(e: Emission, node: Node, op: operators.ChannelPermute, shape: Shape) -> None:
    indices = e.constant(f"{node.name}.indices", op.indices)
    e.add("Gather", node.name, [node.inputs[0], indices], axis=1)


def _slice(e: Emission, node: Node, op: operators.Slice, shape: Shape) -> None:
    bounds = [
        e.constant(f"{node.name}.{what}", (value,))
        for what, value in (("start", op.start), ("stop", op.stop), ("axis", 1))
    ]
    e.add("Slice", node.name, [node.inputs[0], *bounds])


def emit_split(e: Emission, parts: Sequence[Node]) -> None:
    """Add one node for slices that divide a value between them, in the order of its channels."""
    (source,) = parts[0].inputs
    name = f"{source}_split"
    sizes = [part.op.stop - part.op.start for part in parts if isinstance(part.op, operators.Slice)]
    outputs = [part.name for part in parts]
    if e.opset < SPLIT_TAKES_SIZES:
        e.add("Split", name, [source], outputs, axis=1, split=sizes)
    else:
        e.add("Split", name, [source, e.constant(f"{name}.sizes", sizes)], outputs, axis=1)


def _plain(kind: str, **values: Any) -> Emit:
    def emit(e: Emission, node: Node, op: Operator, shape: Shape) -> None:
        e.add(kind, node.name, node.inputs, **values)

    return emit


OPERATORS: dict[type[Operator], tuple[str, Emit]] = {
    operators.Conv2d: ("Conv", _conv),
    operators.MaxPool2d: ("MaxPool", _max_pool),
    operators.AvgPool2d: ("AveragePool", _avg_pool),
    operators.BatchNorm2d: ("BatchNormalization", _batch_norm),
    operators.ReLU: ("Relu", _plain("Relu")),
    operators.ReLU6: ("Clip", _relu6),
    operators.HardSwish: ("HardSwish", _plain("HardSwish")),
    operators.HardSigmoid: ("HardSigmoid", _hard_sigmoid),
    operators.SiLU: ("Sigmoid", _silu),
    operators.Sigmoid: ("Sigmoid", _plain("Sigmoid")),
    **FUNCTIONS,
    **MAPS,
    operators.Dropout: ("Identity", _plain("Identity")),
    operators.GlobalAvgPool2d: ("GlobalAveragePool", _plain("GlobalAveragePool")),
    operators.AdaptiveAvgPool2d: ("MatMul", _adaptive_avg_pool),
    operators.ChannelShuffle: ("Transpose", _shuffle),
    operators.ChannelPermute: ("Gather", _permute),
    operators.Slice: ("Slice", _slice),
    operators.Concat: ("Concat", _plain("Concat", axis=1)),
    operators.Add: ("Add", _plain("Add")),
    operators.Mul: ("Mul", _plain("Mul")),
    operators.Flatten: ("Flatten", _plain("Flatten", axis=1)),
    operators.Linear: ("Gemm", _linear),
    **TOKENS,
}
"""Operator → (the ONNX operator that it needs, what adds its nodes)."""
