"""ResNet (arXiv:1512.03385), ResNeXt (arXiv:1611.05431), Wide ResNet (arXiv:1605.07146).

The same units in the same stages. A ResNeXt's middle convolution is wider and in groups, a Wide
ResNet's wider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families import stems
from zoo.families.residual import conv, joined
from zoo.families.stages import begun_by
from zoo.families.stems import PoolPadding, Stem

# Table 1 of the paper: layers → units of the stages.
REPEATS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True, kw_only=True)
class ResNetConventions(Conventions):
    """Where networks called "ResNet" are different functions.

    Attributes:
        stride_in: which convolution of a bottleneck halves the map: the ``"3x3"`` one, as in
            "ResNet v1.5", or the first ``"1x1"`` one, as in the paper.
        stem: see `zoo.families.stems.Stem`.
        pool_padding: of the stem's max pool.
    """

    stride_in: Literal["3x3", "1x1"] = "3x3"
    stem: Stem = "imagenet"
    pool_padding: PoolPadding = "symmetric"
    classifier_bias: bool = True


PRESETS: dict[str, ResNetConventions] = {
    # torchvision.models.resnet; timm's networks of these names are the same.
    "torchvision": ResNetConventions(),
    # github.com/mindspore-lab/mindcv, models/resnet.py.
    "mindcv": ResNetConventions(pool_padding="SAME_UPPER"),
    # github.com/osmr/pytorchcv, models/resnet.py; its resnet50b is torchvision's.
    "pytorchcv": ResNetConventions(stride_in="1x1"),
}


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(Spec):
    """A ResNet.

    Attributes:
        block: units are two 3×3 convolutions (``"basic"``), or 1×1, 3×3 and 1×1.
        stem_channels: of the first convolution.
        stage_channels, stage_repeats: channels and units of each stage; all but the first halve
            the map.
        mid_channels: of the convolutions inside the units of each stage.
        groups: of the 3×3 convolution of a bottleneck.
        dropout: probability before the classifier, in training.
        conventions: see `ResNetConventions`; by default those of torchvision.
    """

    family: ClassVar[str] = "resnet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = ResNetConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    block: Literal["basic", "bottleneck"] = "bottleneck"
    stem_channels: int = 64
    stage_channels: tuple[int, ...] = (256, 512, 1024, 2048)
    stage_repeats: tuple[int, ...]
    mid_channels: tuple[int, ...] = (64, 128, 256, 512)
    groups: int = 1
    dropout: float = 0.0
    conventions: ResNetConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block not in ("basic", "bottleneck"):
            raise SpecError(f"block (={self.block!r}) must be one of basic, bottleneck")
        require_positive("stem_channels", self.stem_channels)
        require_rows(self, "stage_channels", "stage_repeats", "mid_channels")
        require_positive("groups", self.groups)
        if self.block == "basic" and self.groups != 1:
            raise SpecError(f"groups (={self.groups}) must be 1 where block is 'basic'")
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ResNetSpec:
        """The first unit of all, and each with a shortcut of its own, begin a stage."""
        known = cast(ResNetConventions, conventions)
        try:
            stem, num_classes = outer["stem.conv.weight"], outer["classifier.weight"][0]
            stages = begun_by("shortcut.conv.weight", units)
            firsts = [stage[0] for stage in stages]
            basic = "conv3.conv.weight" not in firsts[0]
            last = "conv2.conv.weight" if basic else "conv3.conv.weight"
            mid, read = firsts[0]["conv2.conv.weight"][:2]
            return cls(
                num_classes=num_classes,
                in_channels=stem[1],
                block="basic" if basic else "bottleneck",
                stem_channels=stem[0],
                stage_channels=tuple(unit[last][0] for unit in firsts),
                stage_repeats=tuple(map(len, stages)),
                mid_channels=tuple(unit["conv1.conv.weight"][0] for unit in firsts),
                groups=1 if basic else mid // read,
                conventions=replace(
                    known,
                    stem=stems.told_by_kernel(stem, known.stem),
                    classifier_bias="classifier.bias" in outer,
                ),
            )
        except (LookupError, ValueError, ZeroDivisionError):
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stems.conv_and_pool(
            g, {"": self.stem_channels}, kernel_size=7, stem=c.stem, pool_padding=c.pool_padding
        )
        stages = zip(self.stage_channels, self.mid_channels, self.stage_repeats, strict=True)
        for stage, (channels, mid_channels, repeats) in enumerate(stages, start=2):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    stride = 2 if stage > 2 and i == 0 else 1
                    x = self._unit(g, x, channels, mid_channels, stride)
        x = g.flatten(g.global_avg_pool(x))
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _unit(self, g: GraphBuilder, x: str, channels: int, mid_channels: int, stride: int) -> str:
        """Figure 5 of the paper."""
        if self.block == "basic":
            y = conv(g, x, "conv1", mid_channels, 3, stride)
            y = conv(g, y, "conv2", channels, 3, relu=False)
        else:
            first, second = (stride, 1) if self.conventions.stride_in == "1x1" else (1, stride)
            y = conv(g, x, "conv1", mid_channels, 1, first)
            y = conv(g, y, "conv2", mid_channels, 3, second, groups=self.groups)
            y = conv(g, y, "conv3", channels, 1, relu=False)
        return joined(g, x, y, stride)


def _resnext(layers: int, groups: int, width: int) -> ResNetSpec:
    """``width`` channels a group in the first stage, twice as many in each further one."""
    mid_channels = tuple(groups * width << stage for stage in range(4))
    return ResNetSpec(stage_repeats=REPEATS[layers], mid_channels=mid_channels, groups=groups)


def _models() -> dict[str, Spec]:
    basic, wide = (64, 128, 256, 512), (128, 256, 512, 1024)
    found: dict[str, Spec] = {}
    for layers, repeats in REPEATS.items():
        found[f"resnet{layers}"] = (
            ResNetSpec(block="basic", stage_channels=basic, stage_repeats=repeats)
            if layers < 50
            else ResNetSpec(stage_repeats=repeats)
        )
    for layers, groups, width in (
        (50, 32, 4),
        (101, 32, 4),
        (101, 32, 8),
        (101, 64, 4),
        (152, 64, 4),
    ):
        found[f"resnext{layers}_{groups}x{width}d"] = _resnext(layers, groups, width)
    for layers in (50, 101):
        spec = ResNetSpec(stage_repeats=REPEATS[layers], mid_channels=wide)
        found[f"wide_resnet{layers}_2"] = spec
    return found | stems.small(found, ("resnet18",))


MODELS = _models()
"""Name → spec of the published networks."""

ALIASES = {f"resnet{layers}b": f"resnet{layers}" for layers in (50, 101, 152)}
"""What pytorchcv calls those with the stride in the 3×3 convolution → name."""
