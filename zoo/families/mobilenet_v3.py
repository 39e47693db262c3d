"""MobileNetV3 (Howard, Sandler, Chu, Chen, …: arXiv:1905.02244)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive
from zoo.families.inverted import RowsSpec, classifier, divisible, padded, stem, unit
from zoo.families.stages import require_flags, require_units
from zoo.families.stems import StemConventions

# Tables 1 and 2 of the paper, units of as many channels in one row: channels, what each unit
# expands to, kernel, stride of the first, squeeze and excitation, hard swish.
LARGE = (
    (16, (16,), 3, 1, False, False),
    (24, (64, 72), 3, 2, False, False),
    (40, (72, 120, 120), 5, 2, True, False),
    (80, (240, 200, 184, 184), 3, 2, False, True),
    (112, (480, 672), 3, 1, True, True),
    (160, (672, 960, 960), 5, 2, True, True),
)
SMALL = (
    (16, (16,), 3, 2, True, False),
    (24, (72, 88), 3, 2, False, False),
    (40, (96, 240, 240), 5, 2, True, True),
    (48, (120, 144), 5, 1, True, True),
    (96, (288, 576, 576), 5, 2, True, True),
)
FACTORS = {
    "large": (1, 4, 3, 3, 3, 3, 6, 2.5, 2.3, 2.3, 6, 6, 6, 6, 6),
    "small": (1, 4.5, 3.67, 4, 6, 6, 3, 3, 6, 6, 6),
}
"""How many times as many channels as it reads a unit expands to: in code, instead of numbers."""


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Conventions(StemConventions):
    """Where networks called "MobileNetV3" are different functions.

    Attributes:
        hidden: what stands before the classifier: a linear layer, or a convolution of the means.
        stem_padding, depthwise_padding: at stride 2: half of the kernel on each side, or
            SAME_UPPER, as in TensorFlow.
    """

    hidden: Literal["linear", "conv"] = "linear"
    stem_padding: Literal["symmetric", "SAME_UPPER"] = "symmetric"
    depthwise_padding: Literal["symmetric", "SAME_UPPER"] = "symmetric"
    classifier_bias: bool = True


PRESETS: dict[str, MobileNetV3Conventions] = {
    # torchvision.models.mobilenetv3
    "torchvision": MobileNetV3Conventions(bn_eps=1e-3, bn_momentum=0.01),
    # github.com/huggingface/pytorch-image-models, models/mobilenetv3.py
    "timm": MobileNetV3Conventions(hidden="conv"),
    # There, those called tf_…, with TensorFlow's weights.
    "timm_tf": MobileNetV3Conventions(
        hidden="conv", stem_padding="SAME_UPPER", depthwise_padding="SAME_UPPER", bn_eps=1e-3
    ),
    # github.com/mindspore-lab/mindcv, models/mobilenetv3.py
    "mindcv": MobileNetV3Conventions(depthwise_padding="SAME_UPPER"),
}


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Spec(RowsSpec):
    """A MobileNetV3.

    Attributes:
        unit_channels: what each unit expands to.
        stage_gates: whether a row's units have squeeze and excitation.
        stage_swish: whether their activation is a hard swish, otherwise a ReLU.
        last_channels: of the 1×1 convolution after the units.
        hidden_channels: of what stands before the classifier.
        conventions: see `MobileNetV3Conventions`.
    """

    family: ClassVar[str] = "mobilenet_v3"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = MobileNetV3Conventions

    stem_channels: int = 16
    unit_channels: tuple[int, ...]
    stage_gates: tuple[bool, ...]
    stage_swish: tuple[bool, ...]
    last_channels: int
    hidden_channels: int
    conventions: MobileNetV3Conventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("last_channels", self.last_channels)
        require_positive("hidden_channels", self.hidden_channels)
        require_units(self, "unit_channels")
        for name in ("stage_gates", "stage_swish"):
            require_flags(self, name, "stage", len(self.stage_channels))

    def widened(
        self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]
    ) -> MobileNetV3Spec:
        """Return the network as wide as the shapes are."""
        return replace(
            super().widened(outer, units),
            unit_channels=tuple(unit["depthwise.conv.weight"][0] for unit in units),
            last_channels=outer["last.conv.weight"][0],
            hidden_channels=outer["hidden.weight"][0],
        )

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stem(g, self, g.hard_swish, padded(c.stem_padding))
        for flat, row, i, stride in self.units():
            with g.scope(f"stage{row + 1}.{i}"):
                x = unit(
                    g,
                    x,
                    self.stage_channels[row],
                    expanded=self.unit_channels[flat],
                    kernel_size=self.stage_kernels[row],
                    stride=stride,
                    activation=g.hard_swish if self.stage_swish[row] else g.relu,
                    padding=padded(c.depthwise_padding),
                    gate=partial(_gate, g) if self.stage_gates[row] else None,
                )
        with g.scope("last"):
            x = g.hard_swish(g.conv_bn(x, self.last_channels))
        x = g.global_avg_pool(x)
        if c.hidden == "conv":
            x = g.conv(x, self.hidden_channels, bias=True, name="hidden")
            x = g.flatten(g.hard_swish(x))
        else:
            x = g.linear(g.flatten(x), self.hidden_channels, bias=True, name="hidden")
            x = g.hard_swish(x)
        return g.build(classifier(g, x, self, self.dropout))


def _gate(g: GraphBuilder, x: str) -> str:
    """Add squeeze to a quarter of the channels and excitation by a hard sigmoid: section 5.3."""
    return g.squeeze_excite(x, divisible(g.channels(x) / 4), gate=g.hard_sigmoid)


def _spec(size: str, width: float = 1.0, *, each: bool = False) -> Spec:
    """Return a network of the paper's, wider or narrower.

    Args:
        size: ``"large"`` or ``"small"``.
        width: what channels are multiplied by, but for the stem's.
        each: whether the expanded channels and the hidden layer's are multiplied too, as MindCV has
            it; otherwise they follow from what a unit reads, as in TensorFlow.
    """
    rows = LARGE if size == "large" else SMALL
    channels = tuple(divisible(row[0] * width) for row in rows)
    repeats = tuple(len(row[1]) for row in rows)
    made = [c for c, units in zip(channels, repeats, strict=True) for _ in range(units)]
    stem = divisible(16 * width) if each or width >= 0.75 else 16
    if each:
        inside = [divisible(e * width) for row in rows for e in row[1]]
    else:
        read = [stem, *made[:-1]]
        inside = [divisible(c * f) for c, f in zip(read, FACTORS[size], strict=True)]
    hidden = 1280 if size == "large" else 1024
    return MobileNetV3Spec(
        stem_channels=stem,
        stage_channels=channels,
        stage_repeats=repeats,
        stage_strides=tuple(row[3] for row in rows),
        stage_kernels=tuple(row[2] for row in rows),
        unit_channels=tuple(inside),
        stage_gates=tuple(row[4] for row in rows),
        stage_swish=tuple(row[5] for row in rows),
        last_channels=divisible(6 * (160 if size == "large" else 96) * width)
        if not each
        else 6 * channels[-1],
        hidden_channels=divisible(hidden * width) if each else hidden,
    )


MODELS: dict[str, Spec] = {
    "mobilenet_v3_large_0.75x": _spec("large", 0.75),
    "mobilenet_v3_large_0.75x_mindcv": _spec("large", 0.75, each=True),
    "mobilenet_v3_large_1.0x": _spec("large"),
    "mobilenet_v3_small_0.5x": _spec("small", 0.5),
    "mobilenet_v3_small_0.75x": _spec("small", 0.75),
    "mobilenet_v3_small_0.75x_mindcv": _spec("small", 0.75, each=True),
    "mobilenet_v3_small_1.0x": _spec("small"),
}
"""Name → spec of the published networks."""

ALIASES = {
    # torchvision
    "mobilenet_v3_large": "mobilenet_v3_large_1.0x",
    "mobilenet_v3_small": "mobilenet_v3_small_1.0x",
    # timm; of those with TensorFlow's weights, conventions="timm_tf"
    "tf_mobilenetv3_large_075": "mobilenet_v3_large_0.75x",
    "tf_mobilenetv3_large_100": "mobilenet_v3_large_1.0x",
    "tf_mobilenetv3_small_075": "mobilenet_v3_small_0.75x",
    "tf_mobilenetv3_small_100": "mobilenet_v3_small_1.0x",
    "mobilenetv3_large_075": "mobilenet_v3_large_0.75x",
    "mobilenetv3_large_100": "mobilenet_v3_large_1.0x",
    "mobilenetv3_small_050": "mobilenet_v3_small_0.5x",
    "mobilenetv3_small_075": "mobilenet_v3_small_0.75x",
    "mobilenetv3_small_100": "mobilenet_v3_small_1.0x",
    # MindCV
    "mobilenet_v3_large_075": "mobilenet_v3_large_0.75x_mindcv",
    "mobilenet_v3_large_100": "mobilenet_v3_large_1.0x",
    "mobilenet_v3_small_075": "mobilenet_v3_small_0.75x_mindcv",
    "mobilenet_v3_small_100": "mobilenet_v3_small_1.0x",
}
"""What other zoos call them → name."""
