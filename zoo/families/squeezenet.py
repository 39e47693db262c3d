"""SqueezeNet 1.0 (Iandola et al.: arXiv:1602.07360) and 1.1, the authors' cheaper form of it.

There are no batch norms, and the classifier is a convolution whose maps are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import ClassVar, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families.stages import require_units
from zoo.families.stems import StemConventions, strides

# Table 1 of the paper: what the fires squeeze to; each side expands to four times as much.
SQUEEZED = (16, 16, 32, 32, 48, 48, 64, 64)


@dataclass(frozen=True, kw_only=True)
class SqueezeNetConventions(StemConventions):
    """Where networks called "SqueezeNet" are different functions.

    Attributes:
        ceil_mode: whether the last windows of the pools may hang over the edge.
        pad_3x3_stem: whether a 3×3 stem, as in version 1.1, is padded; a 7×7 one never is.
    """

    ceil_mode: bool = True
    pad_3x3_stem: bool = False
    classifier_bias: bool = True


PRESETS: dict[str, SqueezeNetConventions] = {
    # torchvision.models.squeezenet, as the authors' Caffe networks.
    "torchvision": SqueezeNetConventions(),
    # github.com/mindspore-lab/mindcv, models/squeezenet.py.
    "mindcv": SqueezeNetConventions(ceil_mode=False, pad_3x3_stem=True),
}


@dataclass(frozen=True, kw_only=True)
class SqueezeNetSpec(Spec):
    """A SqueezeNet.

    Attributes:
        stem_channels, stem_kernel_size: of the first convolution.
        stage_repeats: fires between the max pools, one of which stands before each stage.
        squeeze_channels: of the first convolution of each fire of all stages.
        expand_channels: of its other two, each.
        dropout: probability before the classifier, in training. The authors train with 0.5.
        conventions: see `SqueezeNetConventions`; by default those of torchvision.
    """

    family: ClassVar[str] = "squeezenet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = SqueezeNetConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: int = 64
    stem_kernel_size: int = 3
    stage_repeats: tuple[int, ...] = (2, 2, 4)
    squeeze_channels: tuple[int, ...] = SQUEEZED
    expand_channels: tuple[int, ...] = tuple(4 * channels for channels in SQUEEZED)
    dropout: float = 0.0
    conventions: SqueezeNetConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("stem_channels", self.stem_channels)
        require_positive("stem_kernel_size", self.stem_kernel_size)
        require_rows(self, "stage_repeats")
        require_units(self, "squeeze_channels", "expand_channels")
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> SqueezeNetSpec:
        """The kernel of the stem tells the version, and that between which fires the pools are."""
        known = cast(SqueezeNetConventions, conventions)
        try:
            stem, classifier = outer["stem.conv.weight"], outer["classifier.weight"]
            repeats = (3, 4, 1) if stem[-1] == 7 else (2, 2, 4)
            return cls(
                num_classes=classifier[0],
                in_channels=stem[1],
                stem_channels=stem[0],
                stem_kernel_size=stem[-1],
                stage_repeats=repeats if sum(repeats) == len(units) else (len(units),),
                squeeze_channels=tuple(unit["squeeze.conv.weight"][0] for unit in units),
                expand_channels=tuple(unit["expand1x1.conv.weight"][0] for unit in units),
                conventions=replace(known, classifier_bias="classifier.bias" in outer),
            )
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        first, *pools = strides(c.stem, (2,) * (1 + len(self.stage_repeats)))
        x = self._stem(g, first)
        fires = list(zip(self.squeeze_channels, self.expand_channels, strict=True))
        ends = accumulate(self.stage_repeats, initial=0)
        for stage, ((start, end), stride) in enumerate(zip(pairwise(ends), pools, strict=True), 2):
            if stride > 1:
                with g.scope(f"stage{stage}"):
                    x = g.max_pool(
                        x, kernel_size=3, stride=2, padding=(0, 0, 0, 0), ceil_mode=c.ceil_mode
                    )
            for i, (squeeze, expand) in enumerate(fires[start:end]):
                with g.scope(f"stage{stage}.{i}"):
                    x = self._fire(g, x, squeeze, expand)
        if self.dropout:
            x = g.dropout(x, self.dropout)
        x = g.relu(g.conv(x, self.num_classes, bias=c.classifier_bias, name="classifier"))
        return g.build(g.flatten(g.global_avg_pool(x)))

    def _stem(self, g: GraphBuilder, stride: int) -> str:
        size = self.stem_kernel_size
        pad = 1 if size == 3 and self.conventions.pad_3x3_stem else 0
        with g.scope("stem"):
            return g.relu(
                g.conv(
                    g.input,
                    self.stem_channels,
                    kernel_size=size,
                    stride=stride,
                    padding=(pad,) * 4,
                    bias=True,
                )
            )

    def _fire(self, g: GraphBuilder, x: str, squeeze: int, expand: int) -> str:
        """Figure 1 of the paper: fewer channels, and from these more by kernels of two sizes."""
        with g.scope("squeeze"):
            x = g.relu(g.conv(x, squeeze, bias=True))
        with g.scope("expand1x1"):
            y = g.relu(g.conv(x, expand, bias=True))
        with g.scope("expand3x3"):
            z = g.relu(g.conv(x, expand, kernel_size=3, bias=True))
        return g.concat((y, z))


MODELS: dict[str, Spec] = {
    "squeezenet1_0": SqueezeNetSpec(stem_channels=96, stem_kernel_size=7, stage_repeats=(3, 4, 1)),
    "squeezenet1_1": SqueezeNetSpec(),
}
"""Name → spec of the published networks."""

ALIASES = {"squeezenet_v1_0": "squeezenet1_0", "squeezenet_v1_1": "squeezenet1_1"}
"""What pytorchcv calls them → name."""
