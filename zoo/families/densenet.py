"""DenseNet (Huang, Liu, van der Maaten, Weinberger: arXiv:1608.06993), the BC form of the paper.

A layer reads what all layers of its block made. Batch norm and ReLU come before each convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families import stems
from zoo.families.stems import Stem

# Table 1 of the paper: layers → (growth rate, layers of the blocks).
BLOCKS: dict[int, tuple[int, tuple[int, ...]]] = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
}


@dataclass(frozen=True, kw_only=True)
class DenseNetConventions(Conventions):
    """Where networks called "DenseNet" are different functions.

    Attributes:
        stem: see `zoo.families.stems.Stem`.
    """

    stem: Stem = "imagenet"
    classifier_bias: bool = True


PRESETS: dict[str, DenseNetConventions] = {
    # torchvision.models.densenet; timm's and MindCV's are the same.
    "torchvision": DenseNetConventions(),
}


@dataclass(frozen=True, kw_only=True)
class DenseNetSpec(Spec):
    """A DenseNet.

    Attributes:
        stem_channels: of the first convolution.
        growth_rate: how many channels each layer adds to those it reads.
        stage_repeats: layers of each block. A transition before all but the first halves the map
            and the channels.
        mid_channels: what the 1×1 convolution of a layer makes: four times the growth rate.
        dropout: probability before the classifier, in training.
        conventions: see `DenseNetConventions`.
    """

    family: ClassVar[str] = "densenet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = DenseNetConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: int = 64
    growth_rate: int = 32
    stage_repeats: tuple[int, ...]
    mid_channels: int = 128
    dropout: float = 0.0
    conventions: DenseNetConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_repeats")
        for name in ("stem_channels", "growth_rate", "mid_channels"):
            require_positive(name, getattr(self, name))
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> DenseNetSpec:
        """A layer that does not read what the one before read and made begins a stage."""
        known = cast(DenseNetConventions, conventions)
        try:
            stem, num_classes = outer["stem.conv.weight"], outer["classifier.weight"][0]
            growth_rate, mid_channels = units[0]["grow.conv.weight"][:2]
            repeats: list[int] = []
            expected = None
            for unit in units:
                (read,) = unit["compress.bn.weight"]
                if read != expected:
                    repeats.append(0)
                repeats[-1] += 1
                expected = read + growth_rate
            return cls(
                num_classes=num_classes,
                in_channels=stem[1],
                stem_channels=stem[0],
                growth_rate=growth_rate,
                stage_repeats=tuple(repeats),
                mid_channels=mid_channels,
                conventions=replace(
                    known,
                    stem=stems.told_by_kernel(stem, known.stem),
                    classifier_bias="classifier.bias" in outer,
                ),
            )
        except (LookupError, ValueError):
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stems.conv_and_pool(
            g, {"": self.stem_channels}, kernel_size=7, stem=c.stem, pool_padding="symmetric"
        )
        for stage, repeats in enumerate(self.stage_repeats, start=1):
            if stage > 1:
                with g.scope(f"stage{stage}"):
                    x = _conv(g, x, "transition", g.channels(x) // 2, 1)
                    x = g.avg_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    y = _conv(g, x, "compress", self.mid_channels, 1)
                    y = _conv(g, y, "grow", self.growth_rate, 3)
                    x = g.concat((x, y))
        with g.scope("last"):
            x = g.relu(g.batch_norm(x))
        x = g.flatten(g.global_avg_pool(x))
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))


def _conv(g: GraphBuilder, x: str, name: str, channels: int, kernel_size: int) -> str:
    with g.scope(name):
        return g.conv(g.relu(g.batch_norm(x)), channels, kernel_size=kernel_size)


MODELS: dict[str, Spec] = {
    f"densenet{layers}": DenseNetSpec(
        stem_channels=2 * growth_rate,
        growth_rate=growth_rate,
        stage_repeats=repeats,
        mid_channels=4 * growth_rate,
    )
    for layers, (growth_rate, repeats) in BLOCKS.items()
}
"""Name → spec of the published networks."""
