"""How MindSpore spells the operators of token networks."""

from __future__ import annotations

from typing import Any

from zoo.arch import Operator, operators
from zoo.blocks import Argument, Inline, Layer
from zoo.blocks.idioms import Entry, group_norm, held, narrowed


def _layer_norm(op: operators.LayerNorm, shape: Any) -> Layer:
    first = -len(op.normalized_shape)
    if not op.affine:
        return Layer("PlainLayerNorm", (Argument("axes", -first), Argument("eps", op.eps)))
    return Layer(
        "nn.LayerNorm",
        (
            Argument("normalized_shape", op.normalized_shape),
            Argument("begin_norm_axis", first, "begin_norm_axis", -1),
            Argument("begin_params_axis", first, "begin_params_axis", -1),
            Argument("eps", op.eps, "epsilon", 1e-7),
        ),
    )


def _narrow(op: operators.Narrow, shape: Any) -> Inline | Layer:
    if op.step == 1:
        return narrowed(op, shape)
    # The gradient of a slice with steps has no kernel for CPUs.
    indices = tuple(range(op.start, op.stop, op.step))
    return Layer("Index", (Argument("dim", op.dim), Argument("indices", indices)))


TOKENS: dict[type[Operator], Entry] = {
    operators.LayerNorm: _layer_norm,
    operators.GroupNorm: group_norm,
    operators.Normalize: lambda op, shape: Layer(
        "Normalize", (Argument("dim", op.dim), Argument("eps", op.eps))
    ),
    operators.Softmax: lambda op, shape: Inline(
        "ops.softmax({0}, {dim})", (Argument("dim", op.dim),)
    ),
    operators.MatMul: lambda op, shape: Inline("ops.matmul({0}, {1})"),
    operators.ScaledDotProductAttention: lambda op, shape: Layer(
        "Attention", (Argument("scale", op.scale),)
    ),
    operators.Weight: held,
    operators.Expand: lambda op, shape: Inline(
        "ops.broadcast_to({0}, ({1}.shape[0]" + ", -1" * (len(shape) - 1) + "))"
    ),
    operators.Permute: lambda op, shape: Inline(
        "ops.transpose({0}, {dims})", (Argument("dims", op.dims),)
    ),
    operators.Reshape: lambda op, shape: Inline(
        "{0}.reshape({shape})", (Argument("shape", (-1, *op.shape)),)
    ),
    operators.Roll: lambda op, shape: Layer(
        "Roll", (Argument("shifts", op.shifts), Argument("dims", op.dims))
    ),
    operators.Index: lambda op, shape: Layer(
        "Index", (Argument("dim", op.dim), Argument("indices", op.indices))
    ),
    operators.Narrow: _narrow,
    operators.ConcatAlong: lambda op, shape: Inline(
        "ops.cat(({all}), {dim})", (Argument("dim", op.dim),)
    ),
}
"""Operator → its spelling, for the shape of its first input."""
