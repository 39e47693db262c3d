"""ShuffleNet V2 (Ma, Zhang, Zheng, Sun: arXiv:1807.11164), its two large forms, and how published.

The appendix of the paper gives ShuffleNet V2-50 and SE-ShuffleNet V2-164: deeper and wider, the
latter with squeeze and excitation (arXiv:1709.01507) and residuals.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families import stems
from zoo.families.halves import even_and_odd, halves
from zoo.families.stages import stages_by_shortcut
from zoo.families.stems import PoolPadding, Stem

# Table 5 of the paper: width → (stage 2, stage 3, stage 4), last convolution. The published 2.0x
# networks have 976 channels in stage 4 and 244 and 488 before, as the table.
CHANNELS: dict[float, tuple[tuple[int, int, int], int]] = {
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Conventions(Conventions):
    """Where networks called "ShuffleNet V2" are different functions.

    Attributes:
        shuffle: ``"end"`` of every unit, two groups, the first half then passing the next unit by;
            or ``"start"`` of the units at stride 1, where the even channels pass by.
        stride_2_split: what the main branch of a unit with two branches makes: half of the output
            (``"symmetric"``), or what the other branch, which keeps its channels, leaves of it
            (``"asymmetric"``, whose multiply-adds are those of the paper).
        stem: see `zoo.families.stems.Stem`.
        pool_padding: of the max pool: 1 on each side, or SAME_UPPER.
    """

    shuffle: Literal["end", "start"] = "end"
    stride_2_split: Literal["symmetric", "asymmetric"] = "symmetric"
    stem: Stem = "imagenet"
    pool_padding: PoolPadding = "symmetric"
    classifier_bias: bool = True


PRESETS: dict[str, ShuffleNetV2Conventions] = {
    # The authors' release, github.com/megvii-model/ShuffleNet-Series.
    "megvii": ShuffleNetV2Conventions(
        shuffle="start", stride_2_split="asymmetric", classifier_bias=False
    ),
    # torchvision.models.shufflenetv2; mmpretrain's network is the same.
    "torchvision": ShuffleNetV2Conventions(),
    # github.com/mindspore-lab/mindcv, models/shufflenetv2.py.
    "mindcv": ShuffleNetV2Conventions(
        shuffle="start",
        stride_2_split="asymmetric",
        pool_padding="SAME_UPPER",
        classifier_bias=False,
    ),
    # github.com/osmr/pytorchcv, models/shufflenetv2b.py.
    "pytorchcv": ShuffleNetV2Conventions(stride_2_split="asymmetric"),
}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Spec(Spec):
    """A ShuffleNet V2.

    Attributes:
        stem_channels: of each 3×3 convolution before the max pool; the first has stride 2.
        stage_channels, stage_repeats: channels and units of each stage.
        stage_strides: of the first unit of each stage, which has two branches at stride 1 too.
        last_channels: of the 1×1 convolution before the classifier.
        squeeze_excite: whether the main branch ends in squeeze and excitation, its hidden width
            half of the unit's channels.
        residual: whether units at stride 1 with one branch add what they read to what they make.
        dropout: probability before the classifier, in training.
        conventions: see `ShuffleNetV2Conventions`; by default those of the authors' release.
    """

    family: ClassVar[str] = "shufflenet_v2"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = ShuffleNetV2Conventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: tuple[int, ...] = (24,)
    stage_channels: tuple[int, ...]
    stage_repeats: tuple[int, ...] = (4, 8, 4)
    stage_strides: tuple[int, ...] = (2, 2, 2)
    last_channels: int
    squeeze_excite: bool = False
    residual: bool = False
    dropout: float = 0.0
    conventions: ShuffleNetV2Conventions = PRESETS["megvii"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("last_channels", self.last_channels)
        require_rows(self, "stage_channels", "stage_repeats", "stage_strides")
        require_rows(self, "stem_channels")
        require_probability("dropout", self.dropout)

    def replace(self, **overrides: Any) -> ShuffleNetV2Spec:
        """Return the spec with fields changed; ``width`` takes its row of the channel table."""
        if "width" in overrides:
            width = overrides.pop("width")
            if width not in CHANNELS:
                known = ", ".join(f"{w}" for w in CHANNELS)
                raise SpecError(f"width (={width!r}) must be one of {known}")
            row = dict(zip(("stage_channels", "last_channels"), CHANNELS[width], strict=True))
            overrides = row | overrides
        return super().replace(**overrides)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ShuffleNetV2Spec:
        """A unit with a shortcut of its own begins a stage; strides are those of the paper."""
        try:
            stem = _stem_shapes(outer)
            stem_channels = tuple(shape[0] for shape in stem)
            last_channels, in_channels = outer["last.conv.weight"][0], stem[0][1]
            channels, repeats = stages_by_shortcut(units)
            num_classes = outer["classifier.weight"][0]
        except (LookupError, ValueError):
            raise SpecError(f"the layers are not those of a {cls.family}") from None
        squeeze_excite = any("se.squeeze.weight" in unit for unit in units)
        known = cast(ShuffleNetV2Conventions, conventions)
        return cls(
            num_classes=num_classes,
            in_channels=in_channels,
            stem_channels=stem_channels,
            stage_channels=tuple(channels),
            stage_repeats=tuple(repeats),
            stage_strides=(1, 2, 2, 2) if len(channels) == 4 else (2,) * len(channels),
            last_channels=last_channels,
            squeeze_excite=squeeze_excite,
            residual=squeeze_excite,
            conventions=replace(known, classifier_bias="classifier.bias" in outer),
        )

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        several = len(self.stem_channels) > 1
        channels = {str(i) if several else "": made for i, made in enumerate(self.stem_channels)}
        x = stems.conv_and_pool(g, channels, stem=c.stem, pool_padding=c.pool_padding)
        stages = zip(self.stage_channels, self.stage_repeats, self.stage_strides, strict=True)
        for stage, (out_channels, repeats, stride) in enumerate(stages, start=2):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    x = self._unit(g, x, out_channels, stride if i == 0 else None)
        with g.scope("last"):
            x = g.relu(g.conv_bn(x, self.last_channels))
        x = g.flatten(g.global_avg_pool(x))
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _unit(self, g: GraphBuilder, x: str, out_channels: int, stride: int | None) -> str:
        """Figure 3 (c) of the paper, or (d) with a ``stride``: both branches read all of ``x``."""
        c = self.conventions
        if stride is None:
            passing, x = (even_and_odd if c.shuffle == "start" else halves)(g, x)
            main_channels = out_channels - g.channels(passing)
        elif c.stride_2_split == "symmetric":
            main_channels = out_channels // 2
        else:
            main_channels = out_channels - g.channels(x)
        mid_channels = out_channels // 2

        with g.scope("compress"):
            y = g.relu(g.conv_bn(x, mid_channels))
        with g.scope("depthwise"):
            y = g.conv_bn(y, mid_channels, kernel_size=3, stride=stride or 1, groups=mid_channels)
        adds = self.residual and stride is None
        with g.scope("expand"):
            y = g.conv_bn(y, main_channels, initial_weight=self._branch_weight if adds else 1.0)
        if self.squeeze_excite:
            with g.scope("se"):
                y = g.squeeze_excite(y, out_channels // 2)
        if adds:
            y = g.add(x, y)
        y = g.relu(y)

        if stride is not None:
            with g.scope("shortcut.depthwise"):
                channels = g.channels(x)
                passing = g.conv_bn(x, channels, kernel_size=3, stride=stride, groups=channels)
            with g.scope("shortcut.expand"):
                passing = g.relu(g.conv_bn(passing, out_channels - main_channels))
        x = g.concat((passing, y))
        return g.channel_shuffle(x, 2, "gn") if c.shuffle == "end" else x

    @property
    def _branch_weight(self) -> float:
        """What a branch starts from that is added, also by the initialization ``"fan_in"``.

        At 1, the values of 49 units grow so large that the gates of squeeze and excitation see
        nothing but rounding.
        """
        return 1 / math.sqrt(sum(self.stage_repeats) - len(self.stage_repeats))


def _stem_shapes(outer: Mapping[str, Shape]) -> list[Shape]:
    """Return the shapes of the stem's convolutions in their order, which a file need not keep."""
    found = {
        int(match[1] or 0): shape
        for name, shape in outer.items()
        if (match := re.fullmatch(r"stem\.(?:(\d+)\.)?conv\.weight", name))
    }
    return [found[i] for i in sorted(found)]


def _models() -> dict[str, Spec]:
    models: dict[str, Spec] = {
        f"shufflenet_v2_{width}x": ShuffleNetV2Spec(stage_channels=stages, last_channels=last)
        for width, (stages, last) in CHANNELS.items()
    }
    models |= stems.small(models, list(models))
    # Table 9 (appendix) of the paper; its text counts the units with symmetric branches.
    models["shufflenet_v2_50"] = ShuffleNetV2Spec(
        stem_channels=(64,),
        stage_channels=(244, 488, 976, 1952),
        stage_repeats=(3, 4, 6, 3),
        stage_strides=(1, 2, 2, 2),
        last_channels=2048,
        conventions=PRESETS["torchvision"],
    )
    models["se_shufflenet_v2_164"] = ShuffleNetV2Spec(
        stem_channels=(64, 64, 128),
        stage_channels=(340, 680, 1360, 2720),
        stage_repeats=(10, 10, 23, 10),
        stage_strides=(1, 2, 2, 2),
        last_channels=2048,
        squeeze_excite=True,
        residual=True,
        conventions=PRESETS["torchvision"],
    )
    return models


MODELS = _models()
"""Name → spec of the published networks."""

ALIASES = {
    # torchvision and MindCV.
    "shufflenet_v2_x0_5": "shufflenet_v2_0.5x",
    "shufflenet_v2_x1_0": "shufflenet_v2_1.0x",
    "shufflenet_v2_x1_5": "shufflenet_v2_1.5x",
    "shufflenet_v2_x2_0": "shufflenet_v2_2.0x",
    # pytorchcv; its V2b of 1.5x and 2.0x have another last convolution than the paper's.
    "shufflenetv2b_wd2": "shufflenet_v2_0.5x",
    "shufflenetv2b_w1": "shufflenet_v2_1.0x",
}
"""What other zoos call them → name."""
