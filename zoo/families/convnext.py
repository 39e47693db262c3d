"""ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell, Xie: arXiv:2201.03545).

Norms and the two 1×1 convolutions of a unit act on pixels, so channels come last between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import ClassVar, Literal, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.later import LATER
from zoo.arch.operator import Shape
from zoo.arch.operators import GELU, Padding, Weight
from zoo.arch.spec import Conventions, Spec, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families.stems import PATCHES, Stem

# Section 3 of the paper and, up to nano, timm's smaller ones: channels of the first stage, twice as
# many in each further one, units, stochastic depth.
SIZES = {
    "atto": (40, (2, 2, 6, 2), 0.0),
    "femto": (48, (2, 2, 6, 2), 0.0),
    "pico": (64, (2, 2, 6, 2), 0.0),
    "nano": (80, (2, 2, 8, 2), 0.0),
    "tiny": (96, (3, 3, 9, 3), 0.1),
    "small": (96, (3, 3, 27, 3), 0.4),
    "base": (128, (3, 3, 27, 3), 0.5),
    "large": (192, (3, 3, 27, 3), 0.5),
    "xlarge": (256, (3, 3, 27, 3), 0.5),
}
LAYER_SCALE = 1e-6
"""What the scales of the branches start from."""


@dataclass(frozen=True, kw_only=True)
class ConvNeXtConventions(Conventions):
    """Where networks called "ConvNeXt" are different functions. ``bn_eps`` is the layer norms'.

    Attributes:
        gelu: as it is, or approximated by a ``"tanh"``.
        patch_padding: of an image or map that patches do not divide: the rest is left out, or
            padded to a patch.
        stem: see `zoo.families.stems.Stem`; patches of 4×4, 2×2 or 1×1.
    """

    gelu: Literal["none", "tanh"] = "none"
    patch_padding: Literal["none", "SAME_UPPER"] = field(default="none", metadata=LATER)
    stem: Stem = "imagenet"
    classifier_bias: bool = True
    bn_eps: float = 1e-6


PRESETS: dict[str, ConvNeXtConventions] = {
    # torchvision.models.convnext; timm's are the same functions.
    "torchvision": ConvNeXtConventions(),
    # github.com/mindspore-lab/mindcv, models/convnext.py.
    "mindcv": ConvNeXtConventions(gelu="tanh", patch_padding="SAME_UPPER"),
}


@dataclass(frozen=True, kw_only=True)
class ConvNeXtSpec(Spec):
    """A ConvNeXt.

    Attributes:
        stage_channels, stage_repeats: channels and units of each stage; all but the first halve
            the map.
        pointwise: what the 1×1 convolutions of a unit are held as: ``"linear"`` layers, or
            ``"conv"``.
        stochastic_depth: probability of leaving the last unit's branch out in training; those
            before it are left out less, by their number.
        conventions: see `ConvNeXtConventions`; by default those of torchvision.
    """

    family: ClassVar[str] = "convnext"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = ConvNeXtConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "stochastic_depth")

    stage_channels: tuple[int, ...]
    stage_repeats: tuple[int, ...]
    pointwise: Literal["linear", "conv"] = "linear"
    stochastic_depth: float = 0.0
    conventions: ConvNeXtConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_channels", "stage_repeats")
        if self.pointwise not in ("linear", "conv"):
            raise SpecError(f"pointwise (={self.pointwise!r}) must be one of linear, conv")
        require_probability("stochastic_depth", self.stochastic_depth)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ConvNeXtSpec:
        """Units of other channels begin a stage."""
        known = cast(ConvNeXtConventions, conventions)
        try:
            stem = outer["stem.conv.weight"]
            made = [unit["depthwise.weight"][0] for unit in units]
            stages = [(channels, len(list(run))) for channels, run in groupby(made)]
            stems = {size: name for name, size in PATCHES.items()}
            return cls(
                num_classes=outer["classifier.weight"][0],
                in_channels=stem[1],
                stage_channels=tuple(channels for channels, _ in stages),
                stage_repeats=tuple(repeats for _, repeats in stages),
                pointwise="conv" if len(units[0]["expand.weight"]) == 4 else "linear",
                conventions=replace(
                    known, stem=stems[stem[-1]], classifier_bias="classifier.bias" in outer
                ),
            )
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        with g.scope("stem"):
            x = self._patches(g, g.input, self.stage_channels[0], PATCHES[c.stem])
            x = _norm(g, x)
        flat = 0
        stages = zip(self.stage_channels, self.stage_repeats, strict=True)
        for stage, (channels, repeats) in enumerate(stages, start=1):
            if stage > 1:
                with g.scope(f"stage{stage}.downsample"):
                    x = self._patches(g, _norm(g, x), channels, 2)
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    x = self._unit(g, x, self.stochastic_depth * flat / max(1, self.repeats - 1))
                flat += 1
        x = g.layer_norm(g.flatten(g.global_avg_pool(x)))
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _patches(self, g: GraphBuilder, x: str, channels: int, size: int) -> str:
        """Add a convolution of windows that do not overlap."""
        rule = self.conventions.patch_padding
        padding: Padding = (0, 0, 0, 0) if rule == "none" else rule
        return g.conv(x, channels, kernel_size=size, stride=size, padding=padding, bias=True)

    def _unit(self, g: GraphBuilder, x: str, drop: float) -> str:
        """Figure 4 of the paper."""
        channels = g.channels(x)
        y = g.conv(x, channels, kernel_size=7, groups=channels, bias=True, name="depthwise")
        gelu = GELU(approximate=self.conventions.gelu)
        if self.pointwise == "conv":
            y = g.conv(_norm(g, y), 4 * channels, bias=True, name="expand")
            y = g.conv(g.apply(gelu, y, name="gelu"), channels, bias=True, name="project")
        else:
            y = g.layer_norm(g.permute(y, 0, 2, 3, 1, name="channels_last"))
            y = g.apply(gelu, g.linear(y, 4 * channels, bias=True, name="expand"), name="gelu")
            y = g.linear(y, channels, bias=True, name="project")
            y = g.permute(y, 0, 3, 1, 2, name="channels_first")
        scale = Weight(shape=(channels, 1, 1), trainable=True, initial_weight=LAYER_SCALE)
        y = g.mul(y, g.apply(scale, name="scale"))
        return g.add(x, g.stochastic_depth(y, drop) if drop else y)


def _norm(g: GraphBuilder, x: str) -> str:
    """Add a layer norm of the channels of a map."""
    x = g.layer_norm(g.permute(x, 0, 2, 3, 1, name="channels_last"))
    return g.permute(x, 0, 3, 1, 2, name="channels_first")


MODELS: dict[str, Spec] = {
    f"convnext_{size}": ConvNeXtSpec(
        stage_channels=tuple(channels << stage for stage in range(4)),
        stage_repeats=repeats,
        pointwise="conv" if channels < 96 else "linear",
        stochastic_depth=drop,
    )
    for size, (channels, repeats, drop) in SIZES.items()
}
"""Name → spec of the published networks, which torchvision, timm and MindCV call alike."""
