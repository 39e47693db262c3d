"""What attention is made of (arXiv:1706.03762): products of values, softmax, and the two in one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.operator import Operator, Shape, Traits, require
from zoo.arch.operators.joins import broadcast
from zoo.arch.operators.norms import require_axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Operator):
    """exp(x) over its sum along an axis; shape kept."""

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="nonnegative",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="saved",
    )

    dim: int

    def __post_init__(self) -> None:
        require(self.dim >= 1, f"dim (={self.dim}) must be at least 1: axis 0 are the images")

    @property
    def mixes_channels(self) -> bool:
        return self.dim == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(self.dim, inputs[0])
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(Operator):
    """Product of matrices, (…, M, K) and (…, K, N) to (…, M, N); what is before is broadcast."""

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        first, second = inputs
        require(
            min(len(first), len(second)) >= 2 and first[-1] == second[-2],
            f"the inputs must be matrices (…, M, K) and (…, K, N) (shapes {list(inputs)})",
        )
        return (*broadcast(first[:-2], second[:-2]), first[-2], second[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledDotProductAttention(Operator):
    """softmax(scale * q @ k.T + mask) @ v of q, k, v and, with four inputs, the mask.

    (…, L, E), (…, S, E), (…, S, V) to (…, L, V), as ``F.scaled_dot_product_attention``.
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="kept",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="saved",
    )

    arity: ClassVar[int | None] = None

    scale: float

    def __post_init__(self) -> None:
        require(math.isfinite(self.scale), f"scale (={self.scale}) must be finite")

    def output_shape(self, *inputs: Shape) -> Shape:
        require(len(inputs) in (3, 4), f"the inputs must be q, k, v, mask (shapes {list(inputs)})")
        q, k, v = inputs[:3]
        require(
            min(map(len, (q, k, v))) >= 3 and q[-1] == k[-1] and k[:-1] == v[:-1],
            f"q, k and v must be (…, L, E), (…, S, E) and (…, S, V) (shapes {list(inputs)})",
        )
        before = broadcast(q[:-2], k[:-2])
        if len(inputs) == 4:
            scores = (*before, q[-2], k[-2])
            require(
                broadcast(scores, inputs[3]) == scores,
                f"the mask must fit the scores {scores} (shapes {list(inputs)})",
            )
        return (*before, q[-2], v[-1])
