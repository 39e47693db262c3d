"""ShuffleNet V2.Large, megvii's own: there is code and no paper.

github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2.Large: as many units as SE-ShuffleNet V2-164
has (arXiv:1807.11164, appendix), but group convolutions for depthwise ones, and dense shortcuts.
The classifiers that help its training are no part of it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.families.halves import even_and_odd
from zoo.families.residual import conv
from zoo.families.stages import one_of
from zoo.families.stems import StemConventions, conv_and_pool

# Published implementations do not differ: there is one.
PRESETS: dict[str, StemConventions] = {"megvii": StemConventions(classifier_bias=True, bn_eps=1e-9)}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2LargeSpec(Spec):
    """A ShuffleNet V2.Large.

    Attributes:
        stem_channels: of each 3×3 convolution before the max pool; the first has stride 2.
        stage_channels, stage_repeats: channels and units of each stage; all but the first halve
            the map.
        groups: of the 3×3 convolution of a unit.
        last_channels: of the 3×3 convolution after the units.
        dropout: probability before the classifier, in training. The authors train with 0.2.
        conventions: by default those of the authors' release.
    """

    family: ClassVar[str] = "shufflenet_v2_large"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = StemConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: tuple[int, ...] = (64, 64, 128)
    stage_channels: tuple[int, ...] = (256, 512, 1024, 2048)
    stage_repeats: tuple[int, ...] = (10, 10, 23, 10)
    groups: int = 8
    last_channels: int = 1280
    dropout: float = 0.0
    conventions: StemConventions = PRESETS["megvii"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stem_channels")
        require_rows(self, "stage_channels", "stage_repeats")
        require_positive("groups", self.groups)
        require_positive("last_channels", self.last_channels)
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ShuffleNetV2LargeSpec:
        """There is one network."""
        return one_of(MODELS, outer, units, conventions)

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        numbered = {str(i): channels for i, channels in enumerate(self.stem_channels)}
        x = conv_and_pool(g, numbered, stem=c.stem, pool_padding="symmetric")
        stages = zip(self.stage_channels, self.stage_repeats, strict=True)
        for stage, (channels, repeats) in enumerate(stages, start=2):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    x = self._unit(g, x, channels // 2, first=i == 0, halves=i == 0 and stage > 2)
        x = g.flatten(g.global_avg_pool(conv(g, x, "last", self.last_channels, 3)))
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _unit(self, g: GraphBuilder, x: str, channels: int, *, first: bool, halves: bool) -> str:
        """The odd channels are convolved; the even ones pass by, but for the first of a stage."""
        stride = 2 if halves else 1
        passing, x = even_and_odd(g, x)
        if first:
            passing = conv(g, passing, "shortcut", channels, 3, stride, relu=False)
        y = conv(g, x, "compress", channels, 1)
        y = conv(g, y, "group", channels, 3, stride, groups=self.groups)
        y = _squeeze_excite(g, conv(g, y, "expand", channels, 1, relu=False))
        y = g.relu(g.concat((passing, y if first else g.add(x, y))))
        return conv(g, y, "down", 2 * channels, 1) if halves else y


def _squeeze_excite(g: GraphBuilder, x: str) -> str:
    """Add it with linear layers, as wide as ``x``."""
    channels = g.channels(x)
    with g.scope("se"):
        y = g.flatten(g.global_avg_pool(x))
        y = g.relu(g.linear(y, channels, bias=True, name="squeeze"))
        y = g.sigmoid(g.linear(y, channels, bias=True, name="excite"))
        return g.mul(x, g.reshape(y, channels, 1, 1))


MODELS: dict[str, ShuffleNetV2LargeSpec] = {"shufflenet_v2_large": ShuffleNetV2LargeSpec()}
"""Name → spec of the published networks."""
