"""ShuffleNet V2+, megvii's own successor of ShuffleNet V2: there is code and no paper.

github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2+: hard swish (arXiv:1905.02244), squeeze and
excitation (arXiv:1709.01507) and units of several kinds. Their images are BGR, 0..255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import ClassVar, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families.halves import even_and_odd
from zoo.families.stages import stages_by_shortcut
from zoo.families.stems import StemConventions, strides

# Small, medium, large: channels of the stages.
CHANNELS: dict[str, tuple[int, ...]] = {
    "small": (36, 104, 208, 416),
    "medium": (48, 128, 256, 512),
    "large": (68, 168, 336, 672),
}
# Kind of a unit → kernel size of its depthwise convolutions.
KERNELS = {"3x3": 3, "5x5": 5, "7x7": 7, "xception": 3}
UNITS = (
    *("3x3", "3x3", "xception", "5x5"),
    *("5x5", "5x5", "3x3", "3x3"),
    *("7x7", "3x3", "7x7", "5x5", "5x5", "3x3", "7x7", "3x3"),
    *("7x7", "5x5", "xception", "7x7"),
)

# Published implementations do not differ: there is one.
PRESETS: dict[str, StemConventions] = {"megvii": StemConventions()}


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2PlusSpec(Spec):
    """A ShuffleNet V2+.

    The first stage has ReLUs, the others hard swishes; from the third stage on, the main branch of
    a unit ends in squeeze and excitation.

    Attributes:
        stem_channels: of the first convolution; no max pool follows it.
        stage_channels, stage_repeats: channels and units of each stage.
        units: kind of each unit of all stages, one of `KERNELS`. ``"xception"`` has three depthwise
            convolutions, each with a 1×1 one, and cannot be the first of a stage.
        last_channels: of the 1×1 convolution after the stages, and of the linear layer before the
            classifier.
        dropout: probability before the classifier, in training. The authors train with 0.2.
        conventions: by default those of the authors' release.
    """

    family: ClassVar[str] = "shufflenet_v2_plus"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = StemConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: int = 16
    stage_channels: tuple[int, ...]
    stage_repeats: tuple[int, ...] = (4, 4, 8, 4)
    units: tuple[str, ...] = UNITS
    last_channels: int = 1280
    dropout: float = 0.0
    conventions: StemConventions = PRESETS["megvii"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("stem_channels", self.stem_channels)
        require_positive("last_channels", self.last_channels)
        require_rows(self, "stage_channels", "stage_repeats")
        if not isinstance(self.units, tuple) or len(self.units) != sum(self.stage_repeats):
            raise SpecError(
                f"units (={self.units!r}) must be a list with one kind for each of the "
                f"{sum(self.stage_repeats)} units of stage_repeats (={self.stage_repeats})"
            )
        for kind in self.units:
            if not isinstance(kind, str) or kind not in KERNELS:
                raise SpecError(f"units: a kind (={kind!r}) must be one of {', '.join(KERNELS)}")
        for stage, (kind, *_) in enumerate(self._stages(), start=2):
            if kind == "xception":
                raise SpecError(
                    f"units: the first of stage {stage} cannot be of the kind 'xception', whose "
                    "three depthwise convolutions would each halve the map"
                )
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ShuffleNetV2PlusSpec:
        """A unit with a shortcut of its own begins a stage; its kernel tells its kind."""
        known = cast(StemConventions, conventions)
        try:
            stem = outer["stem.conv.weight"]
            last_channels = outer["hidden.weight"][0]
            num_classes = outer["classifier.weight"][0]
            channels, repeats = stages_by_shortcut(units)
            kinds = [_kind(unit) for unit in units]
            in_channels, stem_channels = stem[1], stem[0]
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None
        return cls(
            num_classes=num_classes,
            in_channels=in_channels,
            stem_channels=stem_channels,
            stage_channels=tuple(channels),
            stage_repeats=tuple(repeats),
            units=tuple(kinds),
            last_channels=last_channels,
            conventions=replace(known, classifier_bias="classifier.bias" in outer),
        )

    def _stages(self) -> list[tuple[str, ...]]:
        """Return the kinds of the units, stage by stage."""
        ends = accumulate(self.stage_repeats, initial=0)
        return [self.units[start:end] for start, end in pairwise(ends)]

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        first, *others = strides(c.stem, (2,) * (1 + len(self.stage_channels)))
        with g.scope("stem"):
            x = g.hard_swish(g.conv_bn(g.input, self.stem_channels, kernel_size=3, stride=first))
        stages = zip(self.stage_channels, self._stages(), others, strict=True)
        for stage, (out_channels, kinds, stride) in enumerate(stages, start=2):
            unit = _Unit(g, out_channels, g.hard_swish if stage > 2 else g.relu, stage > 3)
            for i, kind in enumerate(kinds):
                with g.scope(f"stage{stage}.{i}"):
                    x = unit.first(x, kind, stride) if i == 0 else unit.further(x, kind)
        with g.scope("last"):
            x = g.global_avg_pool(g.hard_swish(g.conv_bn(x, self.last_channels)))
            with g.scope("se"):
                x = _squeeze_excite(g, x)
        x = g.linear(g.flatten(x), self.last_channels, bias=False, name="hidden")
        x = g.hard_swish(x)
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))


@dataclass(frozen=True)
class _Unit:
    """What the units of a stage have in common."""

    g: GraphBuilder
    out_channels: int
    activation: Callable[[str], str]
    squeeze_excite: bool

    def first(self, x: str, kind: str, stride: int) -> str:
        """Both branches read all of ``x`` and halve it; the shortcut keeps its channels."""
        y = self._plain(x, self.out_channels - self.g.channels(x), KERNELS[kind], stride)
        with self.g.scope("shortcut"):
            x = self._separable(x, self.g.channels(x), KERNELS[kind], stride)
        return self.g.concat((x, y))

    def further(self, x: str, kind: str) -> str:
        """The even channels pass by, the main branch reads the odd ones."""
        passing, x = even_and_odd(self.g, x)
        made = self.out_channels - self.g.channels(passing)
        if kind == "xception":
            with self.g.scope("xception"):
                y = self._xception(x, made)
        else:
            y = self._plain(x, made, KERNELS[kind])
        return self.g.concat((passing, y))

    def _plain(self, x: str, channels: int, kernel_size: int, stride: int = 1) -> str:
        with self.g.scope("compress"):
            x = self.activation(self.g.conv_bn(x, self.out_channels // 2))
        return self._excited(self._separable(x, channels, kernel_size, stride))

    def _xception(self, x: str, channels: int) -> str:
        mid = self.out_channels // 2
        for i, made in enumerate((mid, mid, channels)):
            with self.g.scope(str(i)):
                x = self._separable(x, made, KERNELS["xception"])
        return self._excited(x)

    def _separable(self, x: str, channels: int, kernel_size: int, stride: int = 1) -> str:
        """A depthwise convolution and a 1×1 one; no activation stands between."""
        g, read = self.g, self.g.channels(x)
        with g.scope("depthwise"):
            x = g.conv_bn(x, read, kernel_size=kernel_size, stride=stride, groups=read)
        with g.scope("expand"):
            return self.activation(g.conv_bn(x, channels))

    def _excited(self, x: str) -> str:
        if not self.squeeze_excite:
            return x
        with self.g.scope("se"):
            return _squeeze_excite(self.g, x)


def _squeeze_excite(g: GraphBuilder, x: str) -> str:
    return g.squeeze_excite(x, g.channels(x) // 4, batch_norm=True, gate=g.hard_sigmoid)


def _kind(unit: Mapping[str, Shape]) -> str:
    """Return the kind of a unit from the shapes of its weights."""
    if "xception.0.depthwise.conv.weight" in unit:
        return "xception"
    size = unit["depthwise.conv.weight"][-1]
    return f"{size}x{size}"


MODELS: dict[str, Spec] = {
    f"shufflenet_v2_plus_{size}": ShuffleNetV2PlusSpec(stage_channels=channels)
    for size, channels in CHANNELS.items()
}
"""Name → spec of the published networks."""
