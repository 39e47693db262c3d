"""EfficientNet (Tan, Le: arXiv:1905.11946) B0 to B7, and its lite forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.spec import Conventions, Spec, require_probability
from zoo.errors import SpecError
from zoo.families.inverted import ExpandedRowsSpec, divisible, head, padded, stem, unit
from zoo.families.stems import StemConventions

# Table 1 of the paper: expansion, kernel, stride of the first, channels, units.
ROWS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# The authors' release, github.com/tensorflow/tpu, models/official/efficientnet: width, depth, image
# size, dropout.
SIZES = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}
LITE_SIZES = {
    "lite0": (1.0, 1.0, 224, 0.2),
    "lite1": (1.0, 1.1, 240, 0.2),
    "lite2": (1.1, 1.2, 260, 0.3),
    "lite3": (1.2, 1.4, 280, 0.3),
    "lite4": (1.4, 1.8, 300, 0.3),
}


@dataclass(frozen=True, kw_only=True)
class EfficientNetConventions(StemConventions):
    """Where networks called "EfficientNet" are different functions.

    Attributes:
        padding: of convolutions at stride 2: half of the kernel on each side, or SAME_UPPER, as in
            the authors' release.
    """

    padding: Literal["symmetric", "SAME_UPPER"] = "symmetric"
    classifier_bias: bool = True


PRESETS: dict[str, EfficientNetConventions] = {
    # torchvision.models.efficientnet, B0 to B4
    "torchvision": EfficientNetConventions(),
    # there, B5 to B7
    "torchvision_b5": EfficientNetConventions(bn_eps=1e-3, bn_momentum=0.01),
    # github.com/huggingface/pytorch-image-models, models/efficientnet.py
    "timm": EfficientNetConventions(),
    # there, those called tf_…, with the authors' weights
    "timm_tf": EfficientNetConventions(padding="SAME_UPPER", bn_eps=1e-3),
    # github.com/mindspore-lab/mindcv, models/efficientnet.py, B0 to B4
    "mindcv": EfficientNetConventions(padding="SAME_UPPER"),
    # there, B5 to B7
    "mindcv_b5": EfficientNetConventions(padding="SAME_UPPER", bn_eps=1e-3, bn_momentum=0.01),
}


@dataclass(frozen=True, kw_only=True)
class EfficientNetSpec(ExpandedRowsSpec):
    """An EfficientNet.

    Attributes:
        stage_factors: how many times as many channels as it reads a row's units have inside.
        squeeze_excite: whether units have it, its hidden width a quarter of what the unit reads.
        activation: the paper's SiLU, or ReLU6 in the lite forms.
        last_channels: of the 1×1 convolution after the units.
        stochastic_depth: probability of leaving the last unit's branch out in training; those
            before it are left out less, by their number.
        conventions: see `EfficientNetConventions`.
    """

    family: ClassVar[str] = "efficientnet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = EfficientNetConventions
    weightless: ClassVar[tuple[str, ...]] = (*ExpandedRowsSpec.weightless, "stochastic_depth")

    stage_factors: tuple[int, ...] = tuple(row[0] for row in ROWS)
    stage_kernels: tuple[int, ...] = tuple(row[1] for row in ROWS)
    stage_strides: tuple[int, ...] = tuple(row[2] for row in ROWS)
    stage_channels: tuple[int, ...] = tuple(row[3] for row in ROWS)
    stage_repeats: tuple[int, ...] = tuple(row[4] for row in ROWS)
    squeeze_excite: bool = True
    activation: Literal["silu", "relu6"] = "silu"
    stochastic_depth: float = 0.2
    conventions: EfficientNetConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_probability("stochastic_depth", self.stochastic_depth)
        if self.activation not in ("silu", "relu6"):
            raise SpecError(f"activation (={self.activation!r}) must be one of silu, relu6")
        if not isinstance(self.squeeze_excite, bool):
            raise SpecError(f"squeeze_excite (={self.squeeze_excite!r}) must be True or False")

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        activation = g.silu if self.activation == "silu" else g.relu6
        padding = padded(c.padding)
        x = stem(g, self, activation, padding)
        for flat, row, i, stride in self.units():
            hidden = max(1, g.channels(x) // 4)

            def gate(x: str, hidden: int = hidden) -> str:
                return g.squeeze_excite(x, hidden, activation=activation)

            with g.scope(f"stage{row + 1}.{i}"):
                x = unit(
                    g,
                    x,
                    self.stage_channels[row],
                    expanded=g.channels(x) * self.stage_factors[row],
                    kernel_size=self.stage_kernels[row],
                    stride=stride,
                    activation=activation,
                    padding=padding,
                    gate=gate if self.squeeze_excite else None,
                    drop=self.stochastic_depth * flat / self.repeats,
                )
        with g.scope("last"):
            x = activation(g.conv_bn(x, self.last_channels))
        return g.build(head(g, x, self, self.dropout))


def _models() -> dict[str, Spec]:
    models: dict[str, Spec] = {}
    for name, (width, depth, size, dropout) in SIZES.items():
        models[f"efficientnet_{name}"] = EfficientNetSpec(
            stem_channels=divisible(32 * width),
            stage_channels=tuple(divisible(row[3] * width) for row in ROWS),
            stage_repeats=tuple(math.ceil(row[4] * depth) for row in ROWS),
            last_channels=divisible(1280 * width),
            image_size=size,
            dropout=dropout,
            conventions=PRESETS["torchvision_b5" if name >= "b5" else "torchvision"],
        )
    # models/official/efficientnet/lite: stem, end, first and last row are not scaled.
    for name, (width, depth, size, dropout) in LITE_SIZES.items():
        models[f"efficientnet_{name}"] = EfficientNetSpec(
            stage_channels=tuple(divisible(row[3] * width) for row in ROWS),
            stage_repeats=(1, *(math.ceil(row[4] * depth) for row in ROWS[1:-1]), 1),
            squeeze_excite=False,
            activation="relu6",
            image_size=size,
            dropout=dropout,
            conventions=PRESETS["timm"],
        )
    return models


MODELS = _models()
"""Name → spec of the published networks."""

ALIASES = {
    **{f"tf_{name}": name for name in MODELS},
}
"""What other zoos call them → name; of timm's, ``conventions="timm_tf"``."""
