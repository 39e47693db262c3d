"""The operators of token networks as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.onnx.emission import Emission, Emit
from zoo.arch import Node, Operator, Shape, operators

AXES_ARE_INPUTS = 18
"""The opset from which the axes of a reduction are an input."""
SOFTMAX_OF_AN_AXIS = 13
"""Before, softmax was over all axes from the one named."""


def _layer_norm(e: Emission, node: Node, op: operators.LayerNorm, shape: Shape) -> None:
    name, count = node.name, len(op.normalized_shape)
    held = [f"{name}.{role}" for role in op.parameters()]
    if not held:
        held = [e.matrix(f"{name}.ones", np.ones(op.normalized_shape, np.float32))]
    e.add("LayerNormalization", name, [node.inputs[0], *held], axis=-count, epsilon=op.eps)


def _group_norm(e: Emission, node: Node, op: operators.GroupNorm, shape: Shape) -> None:
    name, wide = node.name, (op.num_channels, *(1,) * (len(shape) - 2))
    apart = e.constant(f"{name}.apart", (0, op.num_groups, -1))
    joined = e.constant(f"{name}.joined", (0, *shape[1:]))
    ones, zeros = (
        e.matrix(f"{name}.{what}", np.full(op.num_groups, value, np.float32))
        for what, value in (("ones", 1), ("zeros", 0))
    )
    x = e.add("Reshape", f"{name}.groups", [node.inputs[0], apart])
    x = e.add("InstanceNormalization", f"{name}.normal", [x, ones, zeros], epsilon=op.eps)
    x = e.add("Reshape", f"{name}.channels", [x, joined])
    sizes = e.constant(f"{name}.wide", wide)
    weight, bias = (
        e.add("Reshape", f"{name}.wide_{role}", [f"{name}.{role}", sizes])
        for role in ("weight", "bias")
    )
    e.add("Add", name, [e.add("Mul", f"{name}.scaled", [x, weight]), bias])


def _normalize(e: Emission, node: Node, op: operators.Normalize, shape: Shape) -> None:
    x, name = node.inputs[0], node.name
    if e.opset < AXES_ARE_INPUTS:
        length = e.add("ReduceL2", f"{name}.length", [x], axes=(op.dim,), keepdims=1)
    else:
        axes = e.constant(f"{name}.axes", (op.dim,))
        length = e.add("ReduceL2", f"{name}.length", [x, axes], keepdims=1)
    least = e.constant(f"{name}.eps", float(op.eps))
    e.add("Div", name, [x, e.add("Max", f"{name}.at_least", [length, least])])


def _softmax(e: Emission, node: Node, op: operators.Softmax, shape: Shape) -> None:
    if e.opset >= SOFTMAX_OF_AN_AXIS or op.dim == len(shape) - 1:
        e.add("Softmax", node.name, node.inputs, axis=op.dim)
        return
    swapped = list(range(len(shape)))
    swapped[op.dim], swapped[-1] = swapped[-1], swapped[op.dim]
    x = e.add("Transpose", f"{node.name}.last", node.inputs, perm=swapped)
    x = e.add("Softmax", f"{node.name}.softmax", [x], axis=len(shape) - 1)
    e.add("Transpose", node.name, [x], perm=swapped)


def _attention(
    e: Emission, node: Node, op: operators.ScaledDotProductAttention, shape: Shape
) -> None:
    (q, k, v, *mask), name, rank = node.inputs, node.name, len(shape)
    turned = (*range(rank - 2), rank - 1, rank - 2)
    scaled = e.add("Mul", f"{name}.q", [q, e.constant(f"{name}.scale", float(op.scale))])
    k = e.add("Transpose", f"{name}.k", [k], perm=turned)
    x = e.add("MatMul", f"{name}.scores", [scaled, k])
    if mask:
        x = e.add("Add", f"{name}.masked", [x, mask[0]])
    x = e.add("Softmax", f"{name}.softmax", [x], axis=rank - 1)
    e.add("MatMul", name, [x, v])


def _expand(e: Emission, node: Node, op: operators.Expand, shape: Shape) -> None:
    name = node.name
    ends = [e.constant(f"{name}.{what}", (n,)) for what, n in (("first", 0), ("second", 1))]
    images = e.add("Shape", f"{name}.shape", [node.inputs[1]])
    images = e.add("Slice", f"{name}.images", [images, *ends])
    rest = e.constant(f"{name}.rest", shape[1:])
    sizes = e.add("Concat", f"{name}.sizes", [images, rest], axis=0)
    e.add("Expand", name, [node.inputs[0], sizes])


def _reshape(e: Emission, node: Node, op: operators.Reshape, shape: Shape) -> None:
    # 0 is the input's own number of images: of a -1 nobody could tell that it stays the same.
    same = math.prod(shape[1:]) == math.prod(op.shape)
    sizes = e.constant(f"{node.name}.sizes", (0 if same else -1, *op.shape))
    e.add("Reshape", node.name, [node.inputs[0], sizes])


def _cut(e: Emission, name: str, x: str, what: str, *bounds: int) -> str:
    """Add a slice of start, stop, axis and step."""
    parts = ("start", "stop", "axis", "step")
    held = [
        e.constant(f"{what}.{p}", (n,)) for p, n in zip(parts[: len(bounds)], bounds, strict=True)
    ]
    return e.add("Slice", name, [x, *held])


def _narrow(e: Emission, node: Node, op: operators.Narrow, shape: Shape) -> None:
    _cut(e, node.name, node.inputs[0], node.name, op.start, op.stop, op.dim, op.step)


def _roll(e: Emission, node: Node, op: operators.Roll, shape: Shape) -> None:
    x, moves = node.inputs[0], list(zip(op.shifts, op.dims, strict=True))
    for i, (shift, dim) in enumerate(moves):
        at, part = -shift % shape[dim], f"{node.name}.axis_{dim}"
        ends = (at, shape[dim], dim), (0, at, dim)
        parts: Sequence[str] = [
            _cut(e, f"{part}.{what}", x, f"{part}.{what}", *bounds)
            for what, bounds in zip(("end", "begin"), ends, strict=True)
            if bounds[0] < bounds[1]
        ]
        x = e.add("Concat", node.name if i == len(moves) - 1 else part, parts, axis=dim)


def _index(e: Emission, node: Node, op: operators.Index, shape: Shape) -> None:
    indices = e.constant(f"{node.name}.indices", op.indices)
    e.add("Gather", node.name, [node.inputs[0], indices], axis=op.dim)


def emit_linear(e: Emission, node: Node, op: operators.Linear) -> None:
    """Add a linear layer of the last axis of more than two, which Gemm does not take."""
    weight = e.add("Transpose", f"{node.name}.turned", [f"{node.name}.weight"], perm=(1, 0))
    product = f"{node.name}.product" if op.bias else node.name
    x = e.add("MatMul", product, [node.inputs[0], weight])
    if op.bias:
        e.add("Add", node.name, [x, f"{node.name}.bias"])


TOKENS: dict[type[Operator], tuple[str, Emit]] = {
    operators.LayerNorm: ("LayerNormalization", _layer_norm),
    operators.GroupNorm: ("InstanceNormalization", _group_norm),
    operators.Normalize: ("ReduceL2", _normalize),
    operators.Softmax: ("Softmax", _softmax),
    operators.MatMul: ("MatMul", lambda e, node, op, shape: _plain(e, "MatMul", node)),
    operators.ScaledDotProductAttention: ("Softmax", _attention),
    operators.Weight: (
        "Identity",
        lambda e, node, op, shape: _plain(e, "Identity", node, [f"{node.name}.weight"]),
    ),
    operators.Expand: ("Expand", _expand),
    operators.Permute: (
        "Transpose",
        lambda e, node, op, shape: _plain(e, "Transpose", node, perm=op.dims),
    ),
    operators.Reshape: ("Reshape", _reshape),
    operators.Roll: ("Concat", _roll),
    operators.Index: ("Gather", _index),
    operators.Narrow: ("Slice", _narrow),
    operators.ConcatAlong: (
        "Concat",
        lambda e, node, op, shape: _plain(e, "Concat", node, axis=op.dim),
    ),
}
"""Operator → (the ONNX operator that it needs, what adds its nodes)."""


def _plain(e: Emission, kind: str, node: Node, inputs: Sequence[str] = (), **values: Any) -> None:
    e.add(kind, node.name, inputs or node.inputs, **values)
