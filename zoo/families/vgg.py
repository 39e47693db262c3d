"""VGG (Simonyan, Zisserman: arXiv:1409.1556), with and without batch norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, Literal, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError

# Table 1 of the paper: layers → convolutions of the stages (columns A, B, D, E).
REPEATS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
HIDDEN = ("hidden1", "hidden2")
SIDE = 7
"""Of the map that the linear layers read."""


@dataclass(frozen=True, kw_only=True)
class VGGConventions(Conventions):
    """Where networks called "VGG" are different functions.

    Attributes:
        conv_bias: whether the 3×3 convolutions have biases.
        adaptive_pool: whether any map becomes one of 7×7, as that of a 224×224 image is. Without,
            the weights fit images of one size.
        hidden: the layers before the classifier are ``"linear"``, or the first is a 7×7
            ``"convolution"``, which looks at larger maps in several places; the mean of these is
            classified.
    """

    conv_bias: bool = True
    adaptive_pool: bool = True
    hidden: Literal["linear", "convolution"] = "linear"
    classifier_bias: bool = True


PRESETS: dict[str, VGGConventions] = {
    # torchvision.models.vgg.
    "torchvision": VGGConventions(),
    # github.com/mindspore-lab/mindcv, models/vgg.py.
    "mindcv": VGGConventions(conv_bias=False, adaptive_pool=False),
    # timm's vgg.py; of smaller maps it makes 7×7 too.
    "timm": VGGConventions(hidden="convolution"),
}


@dataclass(frozen=True, kw_only=True)
class VGGSpec(Spec):
    """A VGG.

    Attributes:
        stage_channels, stage_repeats: of the 3×3 convolutions; a max pool ends each stage.
        batch_norm: whether one follows each convolution.
        hidden_channels: of the two linear layers before the classifier.
        dropout: probability after each of these, in training. The authors train with 0.5.
        conventions: see `VGGConventions`; by default those of torchvision.
    """

    family: ClassVar[str] = "vgg"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = VGGConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stage_channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    stage_repeats: tuple[int, ...]
    batch_norm: bool = False
    hidden_channels: int = 4096
    dropout: float = 0.0
    conventions: VGGConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_channels", "stage_repeats")
        if not isinstance(self.batch_norm, bool):
            raise SpecError(f"batch_norm (={self.batch_norm!r}) must be True or False")
        require_positive("hidden_channels", self.hidden_channels)
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> VGGSpec:
        """Other channels begin a stage; the last two have the same, and are equally long."""
        known = cast(VGGConventions, conventions)
        try:
            made = [unit["conv.weight"][0] for unit in units]
            stages = [(channels, len(list(run))) for channels, run in groupby(made)]
            channels, repeats = stages.pop()
            stages += [(channels, repeats - repeats // 2), (channels, repeats // 2)]
            stages = [stage for stage in stages if stage[1]]
            return cls(
                num_classes=outer["classifier.weight"][0],
                in_channels=units[0]["conv.weight"][1],
                stage_channels=tuple(channels for channels, _ in stages),
                stage_repeats=tuple(repeats for _, repeats in stages),
                batch_norm="bn.weight" in units[0],
                hidden_channels=outer["hidden2.weight"][0],
                conventions=replace(
                    known,
                    conv_bias="conv.bias" in units[0],
                    hidden="convolution" if len(outer["hidden2.weight"]) == 4 else "linear",
                    classifier_bias="classifier.bias" in outer,
                ),
            )
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = g.input
        stages = zip(self.stage_channels, self.stage_repeats, strict=True)
        for stage, (channels, repeats) in enumerate(stages, start=1):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    x = g.conv(x, channels, kernel_size=3, bias=c.conv_bias)
                    x = g.relu(g.batch_norm(x) if self.batch_norm else x)
            with g.scope(f"stage{stage}"):
                x = g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
        x = self._convolutions(g, x) if c.hidden == "convolution" else self._linear(g, x)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _linear(self, g: GraphBuilder, x: str) -> str:
        if self.conventions.adaptive_pool:
            x = g.adaptive_avg_pool(x, (SIDE, SIDE), name="pool")
        x = g.flatten(x)
        for name in HIDDEN:
            x = self._activated(g, g.linear(x, self.hidden_channels, bias=True, name=name), name)
        return x

    def _convolutions(self, g: GraphBuilder, x: str) -> str:
        if g.size(x)[0] < SIDE and self.conventions.adaptive_pool:
            x = g.adaptive_avg_pool(x, (SIDE, SIDE), name="grown")
        for name, kernel_size in zip(HIDDEN, (SIDE, 1), strict=True):
            x = g.conv(
                x,
                self.hidden_channels,
                kernel_size=kernel_size,
                padding=(0, 0, 0, 0),
                bias=True,
                name=name,
            )
            x = self._activated(g, x, name)
        return g.flatten(g.global_avg_pool(x))

    def _activated(self, g: GraphBuilder, x: str, name: str) -> str:
        x = g.relu(x, name=f"{name}_relu")
        return g.dropout(x, self.dropout, name=f"{name}_dropout") if self.dropout else x


MODELS: dict[str, Spec] = {
    f"vgg{layers}{suffix}": VGGSpec(stage_repeats=repeats, batch_norm=bool(suffix))
    for layers, repeats in REPEATS.items()
    for suffix in ("", "_bn")
}
"""Name → spec of the published networks."""

ALIASES = {f"bn_vgg{layers}b": f"vgg{layers}_bn" for layers in REPEATS}
"""What pytorchcv calls those with batch norm and biases → name."""
