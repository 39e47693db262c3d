"""MobileNet (Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: arXiv:1704.04861)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.spec import Conventions, Spec
from zoo.families.inverted import RowsSpec, head, stem
from zoo.families.stems import StemConventions

# Table 1 of the paper: channels, units, stride of the first.
ROWS = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))


@dataclass(frozen=True, kw_only=True)
class MobileNetV1Conventions(StemConventions):
    """Where networks called "MobileNet" are different functions.

    Attributes:
        activation: the paper's ReLU, or the ReLU6 of TensorFlow's release.
    """

    activation: Literal["relu", "relu6"] = "relu"
    classifier_bias: bool = True


PRESETS: dict[str, MobileNetV1Conventions] = {
    # github.com/mindspore-lab/mindcv, models/mobilenetv1.py
    "mindcv": MobileNetV1Conventions(),
    # github.com/huggingface/pytorch-image-models, models/efficientnet.py
    "timm": MobileNetV1Conventions(activation="relu6"),
}


@dataclass(frozen=True, kw_only=True)
class MobileNetV1Spec(RowsSpec):
    """A MobileNet.

    Attributes:
        conventions: see `MobileNetV1Conventions`; by default the paper's.
    """

    family: ClassVar[str] = "mobilenet_v1"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = MobileNetV1Conventions

    stage_channels: tuple[int, ...] = tuple(row[0] for row in ROWS)
    stage_repeats: tuple[int, ...] = tuple(row[1] for row in ROWS)
    stage_strides: tuple[int, ...] = tuple(row[2] for row in ROWS)
    stage_kernels: tuple[int, ...] = (3,) * len(ROWS)
    dropout: float = 0.0
    conventions: MobileNetV1Conventions = PRESETS["mindcv"]

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        activation = g.relu if c.activation == "relu" else g.relu6
        x = stem(g, self, activation)
        for _, row, i, stride in self.units():
            k, channels = self.stage_kernels[row], g.channels(x)
            with g.scope(f"stage{row + 1}.{i}.depthwise"):
                y = g.conv_bn(x, channels, kernel_size=k, stride=stride, groups=channels)
                x = activation(y)
            with g.scope(f"stage{row + 1}.{i}.project"):
                x = activation(g.conv_bn(x, self.stage_channels[row]))
        return g.build(head(g, x, self, self.dropout))


WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.25)
MODELS: dict[str, Spec] = {
    f"mobilenet_v1_{width}x": MobileNetV1Spec(
        stem_channels=int(32 * width),
        stage_channels=tuple(int(row[0] * width) for row in ROWS),
    )
    for width in WIDTHS
}
"""Name → spec of the published networks."""

ALIASES = {
    # timm, and MindCV.
    "mobilenetv1_100": "mobilenet_v1_1.0x",
    "mobilenetv1_125": "mobilenet_v1_1.25x",
    **{f"mobilenet_v1_{width * 100:03.0f}": f"mobilenet_v1_{width}x" for width in WIDTHS},
}
"""What other zoos call them → name."""
