"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen: arXiv:1801.04381)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.graph import Graph
from zoo.arch.spec import Conventions, Spec
from zoo.families.inverted import ExpandedRowsSpec, divisible
from zoo.families.stems import StemConventions

# Table 2 of the paper: expansion, channels, units, stride of the first.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Conventions(StemConventions):
    """The published networks of this name are one function."""

    classifier_bias: bool = True


PRESETS: dict[str, MobileNetV2Conventions] = {
    # torchvision.models.mobilenetv2
    "torchvision": MobileNetV2Conventions(),
    # github.com/huggingface/pytorch-image-models, models/efficientnet.py
    "timm": MobileNetV2Conventions(),
    # github.com/mindspore-lab/mindcv, models/mobilenetv2.py
    "mindcv": MobileNetV2Conventions(),
}


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Spec(ExpandedRowsSpec):
    """A MobileNetV2.

    Attributes:
        stage_factors: how many times as many channels as it reads a row's units have inside.
        last_channels: of the 1×1 convolution after the units.
        conventions: see `MobileNetV2Conventions`.
    """

    family: ClassVar[str] = "mobilenet_v2"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = MobileNetV2Conventions

    stage_factors: tuple[int, ...] = tuple(row[0] for row in ROWS)
    stage_channels: tuple[int, ...] = tuple(row[1] for row in ROWS)
    stage_repeats: tuple[int, ...] = tuple(row[2] for row in ROWS)
    stage_strides: tuple[int, ...] = tuple(row[3] for row in ROWS)
    stage_kernels: tuple[int, ...] = (3,) * len(ROWS)
    conventions: MobileNetV2Conventions = PRESETS["torchvision"]

    def expand(self) -> Graph:
        return self.plain(lambda g: g.relu6)


def _wide(width: float) -> MobileNetV2Spec:
    return MobileNetV2Spec(
        stem_channels=divisible(32 * width),
        stage_channels=tuple(divisible(row[1] * width) for row in ROWS),
        last_channels=divisible(1280 * max(1.0, width)),
    )


def _deep(width: float, depth: float) -> MobileNetV2Spec:
    """Timm's deeper ones: more units in all rows but the first and last; stem and end as they are.

    Their weights: github.com/huggingface/pytorch-image-models, mobilenetv2_110d and 120d.
    """
    return MobileNetV2Spec(
        stage_channels=tuple(divisible(row[1] * width) for row in ROWS),
        stage_repeats=(1, *(math.ceil(row[2] * depth) for row in ROWS[1:-1]), 1),
    )


WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
MODELS: dict[str, Spec] = {
    **{f"mobilenet_v2_{width}x": _wide(width) for width in WIDTHS},
    "mobilenet_v2_1.1x_deep": _deep(1.1, 1.2),
    "mobilenet_v2_1.2x_deep": _deep(1.2, 1.4),
}
"""Name → spec of the published networks."""

ALIASES = {
    "mobilenet_v2": "mobilenet_v2_1.0x",  # torchvision
    "mobilenetv2_110d": "mobilenet_v2_1.1x_deep",
    "mobilenetv2_120d": "mobilenet_v2_1.2x_deep",
    "mobilenet_v2_130_224": "mobilenet_v2_1.3x",  # MindCV
    # timm and MindCV.
    **{f"mobilenetv2_{w * 100:03.0f}": f"mobilenet_v2_{w}x" for w in WIDTHS if w != 1.3},
    **{f"mobilenet_v2_{w * 100:03.0f}": f"mobilenet_v2_{w}x" for w in WIDTHS if w != 1.3},
}
"""What other zoos call them → name."""
