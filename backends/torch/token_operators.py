"""How PyTorch spells the operators of token networks."""

from __future__ import annotations

from typing import Any

from zoo.arch import Operator, operators
from zoo.blocks import Argument, Inline, Layer
from zoo.blocks.idioms import Entry, group_norm, held, narrowed


def _layer_norm(op: operators.LayerNorm, shape: Any) -> Layer:
    sizes = op.normalized_shape
    return Layer(
        "nn.LayerNorm",
        (
            Argument("normalized_shape", sizes[0] if len(sizes) == 1 else sizes),
            Argument("eps", op.eps, "eps", 1e-5),
            Argument("affine", op.affine, "elementwise_affine", True),
        ),
    )


TOKENS: dict[type[Operator], Entry] = {
    operators.LayerNorm: _layer_norm,
    operators.GroupNorm: group_norm,
    operators.Normalize: lambda op, shape: Inline(
        "F.normalize({0}, dim={dim}, eps={eps})", (Argument("dim", op.dim), Argument("eps", op.eps))
    ),
    operators.Softmax: lambda op, shape: Inline(
        "torch.softmax({0}, {dim})", (Argument("dim", op.dim),)
    ),
    operators.MatMul: lambda op, shape: Inline("{0} @ {1}", atom=False),
    operators.ScaledDotProductAttention: lambda op, shape: Inline(
        "F.scaled_dot_product_attention({all}, scale={scale})", (Argument("scale", op.scale),)
    ),
    operators.Weight: held,
    operators.Expand: lambda op, shape: Inline(
        "{0}.expand({1}.shape[0]" + ", -1" * (len(shape) - 1) + ")"
    ),
    operators.Permute: lambda op, shape: Inline(
        "{0}.permute({dims})", (Argument("dims", op.dims),)
    ),
    operators.Reshape: lambda op, shape: Inline(
        "{0}.reshape({shape})", (Argument("shape", (-1, *op.shape)),)
    ),
    operators.Roll: lambda op, shape: Inline(
        "torch.roll({0}, {shifts}, {dims})",
        (Argument("shifts", op.shifts), Argument("dims", op.dims)),
    ),
    operators.Index: lambda op, shape: Layer(
        "Index", (Argument("dim", op.dim), Argument("indices", op.indices))
    ),
    operators.Narrow: narrowed,
    operators.ConcatAlong: lambda op, shape: Inline(
        "torch.cat(({all}), {dim})", (Argument("dim", op.dim),)
    ),
}
"""Operator → its spelling, for the shape of its first input."""
