"""ShuffleNet V1 (Zhang, Zhou, Lin, Sun: arXiv:1707.01083) and the ways it has been published."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.operators import Padding
from zoo.arch.spec import Conventions, Spec, require_positive, require_rows
from zoo.errors import SpecError
from zoo.families import stems
from zoo.families.stems import PoolPadding, Stem

# Table 1 of the paper, its text for the other widths, and the authors' release:
# groups → width → (stem, (stage 2, stage 3, stage 4)).
CHANNELS: dict[int, dict[float, tuple[int, tuple[int, int, int]]]] = {
    1: {1.0: (24, (144, 288, 576))},
    2: {1.0: (24, (200, 400, 800))},
    3: {
        0.5: (12, (120, 240, 480)),
        1.0: (24, (240, 480, 960)),
        1.5: (24, (360, 720, 1440)),
        2.0: (48, (480, 960, 1920)),
    },
    4: {1.0: (24, (272, 544, 1088))},
    8: {
        0.5: (16, (192, 384, 768)),
        1.0: (24, (384, 768, 1536)),
        1.5: (24, (576, 1152, 2304)),
        2.0: (48, (768, 1536, 3072)),
    },
}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Conventions(Conventions):
    """Where networks called "ShuffleNet V1" are different functions. The defaults are the paper's.

    Attributes:
        shuffle_order: ``"gn"`` views the channels as (groups, C / groups) and transposes, as the
            paper says; ``"ng"`` as (C / groups, groups).
        shuffle_position: before or after the depthwise convolution and its batch norm.
        first_unit_grouped: whether the first 1×1 of the first unit is a group convolution.
        first_unit_shuffle: whether the first unit shuffles.
        concat_order: which comes first where a stride-2 unit joins shortcut pool and main branch;
            it decides which channels share a group later.
        relu_position: of a stride-2 unit: on the main branch before the concat, or after it.
        depthwise_relu: an additional ReLU after the depthwise batch norm.
        bottleneck_of: the bottleneck has a quarter of the channels of the ``"stage"``, or of what
            the ``"unit"``'s own main branch makes (fewer in stride-2 units).
        stem: see `zoo.families.stems.Stem`; of ``"cifar"``, the convolution is 1×1.
        pool_padding: of the max pool and the shortcut's average pool: 1 on each side, or
            SAME_UPPER.
    """

    shuffle_order: Literal["gn", "ng"] = "gn"
    shuffle_position: Literal["before_depthwise", "after_depthwise"] = "before_depthwise"
    first_unit_grouped: bool = False
    first_unit_shuffle: bool = True
    concat_order: Literal["pool_main", "main_pool"] = "pool_main"
    relu_position: Literal["before_concat", "after_concat"] = "after_concat"
    depthwise_relu: bool = False
    bottleneck_of: Literal["stage", "unit"] = "stage"
    stem: Stem = "imagenet"
    pool_padding: PoolPadding = "symmetric"


PRESETS: dict[str, ShuffleNetV1Conventions] = {
    # The authors' release, github.com/megvii-model/ShuffleNet-Series.
    "megvii": ShuffleNetV1Conventions(
        shuffle_order="ng", shuffle_position="after_depthwise", relu_position="before_concat"
    ),
    # github.com/mindspore-lab/mindcv, models/shufflenetv1.py.
    "mindcv": ShuffleNetV1Conventions(shuffle_order="ng", pool_padding="SAME_UPPER"),
    # MindSpore's ShuffleNet tutorial: MindCV's network with a bias in the classifier.
    "mindspore_tutorial": ShuffleNetV1Conventions(
        shuffle_order="ng", pool_padding="SAME_UPPER", classifier_bias=True
    ),
    # The paper's text and figures; where it is silent (classifier bias), the authors' release.
    "paper": ShuffleNetV1Conventions(),
    # github.com/open-mmlab/mmpretrain, models/backbones/shufflenet_v1.py.
    "mmpretrain": ShuffleNetV1Conventions(
        shuffle_position="after_depthwise", relu_position="before_concat", classifier_bias=True
    ),
    # github.com/osmr/pytorchcv, models/shufflenet.py.
    "pytorchcv": ShuffleNetV1Conventions(concat_order="main_pool", classifier_bias=True),
    # github.com/kuangliu/pytorch-cifar, models/shufflenet.py, for 32×32 images.
    "kuangliu": ShuffleNetV1Conventions(
        first_unit_shuffle=False,
        concat_order="main_pool",
        depthwise_relu=True,
        bottleneck_of="unit",
        stem="cifar",
        classifier_bias=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Spec(Spec):
    """A ShuffleNet V1.

    Attributes:
        groups: of the 1×1 group convolutions.
        stem_channels, stage_channels: the row of the channel table.
        stage_repeats: units a stage; the first of each has stride 2.
        conventions: see `ShuffleNetV1Conventions`; by default those of the authors' release.
    """

    family: ClassVar[str] = "shufflenet_v1"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = ShuffleNetV1Conventions

    groups: int
    stem_channels: int
    stage_channels: tuple[int, ...]
    stage_repeats: tuple[int, ...] = (4, 8, 4)
    conventions: ShuffleNetV1Conventions = PRESETS["megvii"]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("groups", "stem_channels"):
            require_positive(name, getattr(self, name))
        require_rows(self, "stage_channels", "stage_repeats")

    @property
    def width(self) -> float | None:
        """The multiplier of the 1.0x channels; None where the table has no row for the groups."""
        if self.groups not in CHANNELS:
            return None
        return self.stage_channels[0] / CHANNELS[self.groups][1.0][1][0]

    def replace(self, **overrides: Any) -> ShuffleNetV1Spec:
        """Return the spec with fields changed; ``width`` takes its row of the channel table."""
        if "width" in overrides:
            width, groups = overrides.pop("width"), overrides.get("groups", self.groups)
            rows = CHANNELS.get(groups, {})
            if width not in rows:
                known = ", ".join(f"{w}x g{g}" for g, row in CHANNELS.items() for w in row)
                raise SpecError(
                    f"width (={width!r}) with groups (={groups!r}) must be one of {known}"
                )
            overrides = (
                dict(zip(("stem_channels", "stage_channels"), rows[width], strict=True)) | overrides
            )
        return super().replace(**overrides)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ShuffleNetV1Spec:
        """What a unit reads tells what the one before it made; a stage ends where that changes."""
        try:
            stem_channels, in_channels, *_ = outer["stem.conv.weight"]
            num_classes, features = outer["classifier.weight"]
            groups = units[0]["depthwise.conv.weight"][0] // units[0]["expand.conv.weight"][1]
            read = [stem_channels] + [
                unit["compress.conv.weight"][1] * groups for unit in units[1:]
            ]
        except (LookupError, ValueError, ZeroDivisionError):
            raise SpecError(f"the layers are not those of a {cls.family}") from None
        stages: list[list[int]] = []
        for before, after in itertools.pairwise([*read, features]):
            if before != after or not stages:
                stages.append([])
            stages[-1].append(after)
        known = cast(ShuffleNetV1Conventions, conventions)
        return cls(
            num_classes=num_classes,
            in_channels=in_channels,
            groups=groups,
            stem_channels=stem_channels,
            stage_channels=tuple(stage[0] for stage in stages),
            stage_repeats=tuple(len(stage) for stage in stages),
            conventions=replace(known, classifier_bias="classifier.bias" in outer),
        )

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        padding, channels = stems.padded(c.pool_padding), {"": self.stem_channels}
        x = stems.conv_and_pool(
            g, channels, stem=c.stem, pool_padding=c.pool_padding, small_kernel_size=1
        )
        stages = zip(self.stage_channels, self.stage_repeats, strict=True)
        for stage, (out_channels, repeats) in enumerate(stages, start=2):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    first = stage == 2 and i == 0
                    x = self._unit(g, x, out_channels, 2 if i == 0 else 1, padding, first)
        x = g.flatten(g.global_avg_pool(x))
        x = g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier")
        return g.build(x)

    def _unit(
        self, g: GraphBuilder, x: str, out_channels: int, stride: int, padding: Padding, first: bool
    ) -> str:
        """Figure 2 (b) of the paper at stride 1, (c) at stride 2."""
        c, groups = self.conventions, self.groups
        main_channels = out_channels if stride == 1 else out_channels - g.channels(x)
        mid_channels = (out_channels if c.bottleneck_of == "stage" else main_channels) // 4
        shuffles = groups > 1 and (c.first_unit_shuffle or not first)

        with g.scope("compress"):
            compress_groups = groups if c.first_unit_grouped or not first else 1
            y = g.relu(g.conv_bn(x, mid_channels, groups=compress_groups))
        if shuffles and c.shuffle_position == "before_depthwise":
            y = g.channel_shuffle(y, groups, c.shuffle_order)
        with g.scope("depthwise"):
            y = g.conv_bn(y, mid_channels, kernel_size=3, stride=stride, groups=mid_channels)
            if c.depthwise_relu:
                y = g.relu(y)
        if shuffles and c.shuffle_position == "after_depthwise":
            y = g.channel_shuffle(y, groups, c.shuffle_order)
        with g.scope("expand"):
            y = g.conv_bn(y, main_channels, groups=groups)

        if stride == 1:
            return g.relu(g.add(x, y))
        with g.scope("shortcut"):
            shortcut = g.avg_pool(x, kernel_size=3, stride=2, padding=padding)
        if c.relu_position == "before_concat":
            y = g.relu(y)
        branches = (shortcut, y) if c.concat_order == "pool_main" else (y, shortcut)
        y = g.concat(branches)
        return y if c.relu_position == "before_concat" else g.relu(y)


def _models() -> dict[str, Spec]:
    models: dict[str, Spec] = {}
    for groups, rows in CHANNELS.items():
        for width, (stem, stages) in rows.items():
            models[f"shufflenet_v1_{width}x_g{groups}"] = ShuffleNetV1Spec(
                groups=groups, stem_channels=stem, stage_channels=stages
            )
    # As kuangliu's and OpenGenus' code builds them for CIFAR-10, and one of half the width.
    for base in ("1.0x_g2", "1.0x_g3", "0.5x_g3"):
        models[f"shufflenet_v1_{base}_cifar"] = models[f"shufflenet_v1_{base}"].replace(
            conventions="kuangliu", num_classes=10, image_size=32
        )
    return models


MODELS = _models()
"""Name → spec of the published networks."""

ALIASES = {
    # MindCV.
    **{
        f"shufflenet_v1_g{groups}_{width * 10:02.0f}": f"shufflenet_v1_{width}x_g{groups}"
        for groups in (3, 8)
        for width in CHANNELS[groups]
    },
    # pytorchcv.
    **{f"shufflenet_g{groups}_w1": f"shufflenet_v1_1.0x_g{groups}" for groups in CHANNELS},
    "shufflenet_g3_wd2": "shufflenet_v1_0.5x_g3",
}
"""What other zoos call them → name."""
