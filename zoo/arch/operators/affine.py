"""What multiplies and adds parameters by channel: batch normalization and the linear layer.

What their weights start from is no part of what they compute: equality does not ask for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.arch.operator import (
    Operator,
    Parameter,
    Shape,
    Traits,
    require,
    require_channels,
    require_map,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm2d(Operator):
    """Batch normalization (arXiv:1502.03167), as ``torch.nn.BatchNorm2d``; shape kept.

    ``momentum`` is PyTorch's: running = (1 - momentum) * running + momentum * batch, with the
    unbiased batch variance. MindSpore's momentum is one minus it.

    ``initial_weight`` is what the scale starts from: 1, or less (`zoo.arch.damped`).
    """

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    num_features: int
    eps: float
    momentum: float
    initial_weight: float = field(default=1.0, compare=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_channels("num_features", self.num_features, inputs[0])
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        shape = (self.num_features,)
        return {
            "weight": Parameter(shape, init="ones", scale=self.initial_weight),
            "bias": Parameter(shape),
            "running_mean": Parameter(shape, trainable=False),
            "running_var": Parameter(shape, trainable=False, init="ones"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Operator):
    """x @ weight.T + bias, as ``torch.nn.Linear``. (N, …, in_features) -> (N, …, out_features).

    ``initial_scale`` is what the weights that are drawn are multiplied by.
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="own",
    )

    in_features: int
    out_features: int
    bias: bool
    initial_scale: float = field(default=1.0, compare=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        require(
            len(inputs[0]) >= 2 and inputs[0][-1] == self.in_features,
            f"in_features (={self.in_features}) must equal the last axis of its input "
            f"(shape {inputs[0]})",
        )
        return (*inputs[0][:-1], self.out_features)

    def parameters(self) -> Mapping[str, Parameter]:
        weight = Parameter(
            (self.out_features, self.in_features),
            init="fan_in_uniform",
            fan_in=self.in_features,
            scale=self.initial_scale,
        )
        if not self.bias:
            return {"weight": weight}
        return {"weight": weight, "bias": Parameter((self.out_features,))}

    def macs(self, output: Shape) -> int:
        return math.prod(output) * self.in_features
