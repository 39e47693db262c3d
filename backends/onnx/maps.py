"""Operators on whole maps as ONNX nodes."""

from __future__ import annotations

import numpy as np

from backends.onnx.emission import Emission, Emit
from zoo.arch import Node, Operator, Shape, operators

SUM_TAKES_AXES, OTHERS_TAKE_AXES = 13, 18
"""The opsets from which the axes of ReduceSum, and of ReduceMean and ReduceMax, are an input."""
ROI_MAY_BE_LEFT_OUT = 13
"""The opset from which Resize need not be told of a part of the map."""
REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax"}


def _reduce(e: Emission, node: Node, op: operators.Reduce, shape: Shape) -> None:
    kind, keep = REDUCTIONS[op.kind], int(op.keepdim)
    if e.opset < (SUM_TAKES_AXES if op.kind == "sum" else OTHERS_TAKE_AXES):
        e.add(kind, node.name, node.inputs, axes=op.dim, keepdims=keep)
    else:
        axes = e.constant(f"{node.name}.axes", op.dim)
        e.add(kind, node.name, [*node.inputs, axes], keepdims=keep, noop_with_empty_axes=0)


def _pad(e: Emission, node: Node, op: operators.Pad2d, shape: Shape) -> None:
    top, left, bottom, right = op.sides
    pads = e.constant(f"{node.name}.pads", (0, 0, top, left, 0, 0, bottom, right))
    inputs = [node.inputs[0], pads]
    if op.mode == "constant":
        inputs.append(e.constant(f"{node.name}.value", float(op.value)))
    e.add("Pad", node.name, inputs, mode={"replicate": "edge"}.get(op.mode, op.mode))


def _upsample(e: Emission, node: Node, op: operators.Upsample, shape: Shape) -> None:
    made = op.output_shape(shape)[2:]
    if all(m % n == 0 for m, n in zip(made, shape[2:], strict=True)):
        by = np.array([1, 1, *(m / n for m, n in zip(made, shape[2:], strict=True))], np.float32)
        smooth = "align_corners" if op.align_corners else "half_pixel"
        nearest = op.mode == "nearest"
        none = np.zeros(0, np.float32)
        roi = e.matrix(f"{node.name}.roi", none) if e.opset < ROI_MAY_BE_LEFT_OUT else ""
        e.add(
            "Resize", node.name, [node.inputs[0], roi, e.matrix(f"{node.name}.scales", by)],
            mode="nearest" if nearest else "linear", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric" if nearest else smooth,
        )  # fmt: skip
        return
    # Readers differ in the coordinates of other sizes: a product with a constant leaves none open.
    down, across = (
        np.array(op.shares(m, n), np.float32) for m, n in zip(made, shape[2:], strict=True)
    )
    rows = e.matrix(f"{node.name}.rows", down)
    columns = e.matrix(f"{node.name}.columns", np.ascontiguousarray(across.T))
    x = e.add("MatMul", f"{node.name}.down", [rows, node.inputs[0]])
    e.add("MatMul", node.name, [x, columns])


def _conv_transpose(e: Emission, node: Node, op: operators.ConvTranspose2d, shape: Shape) -> None:
    e.add(
        "ConvTranspose",
        node.name,
        [node.inputs[0], *(f"{node.name}.{role}" for role in op.parameters())],
        kernel_shape=op.kernel_size,
        strides=op.stride,
        pads=(*op.padding, *op.padding),
        output_padding=op.output_padding,
        dilations=op.dilation,
        group=op.groups,
    )


MAPS: dict[type[Operator], tuple[str, Emit]] = {
    operators.Reduce: ("ReduceMean", _reduce),
    operators.Pad2d: ("Pad", _pad),
    operators.Upsample: ("Resize", _upsample),
    operators.ConvTranspose2d: ("ConvTranspose", _conv_transpose),
}
"""Operator → (the ONNX operator that it needs, what adds its nodes)."""
