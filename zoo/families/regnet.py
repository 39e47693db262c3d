"""RegNet X and Y (Radosavovic, Kosaraju, Girshick, He, Dollár: arXiv:2003.13678).

Bottlenecks as wide as what they read, in groups of one width. A RegNet Y has squeeze and excitation
(arXiv:1709.01507) besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families.residual import conv, joined
from zoo.families.stages import begun_by
from zoo.families.stems import StemConventions, strides

# Tables 8 and 9 of the paper's appendix, from the authors' code, github.com/facebookresearch/pycls:
# name → units, w_0, w_a, w_m, width of a group.
Row = tuple[int, int, float, float, int]
X: dict[str, Row] = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (22, 24, 24.48, 2.54, 16),
    "600mf": (16, 48, 36.97, 2.24, 24),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1_6gf": (18, 80, 34.01, 2.25, 24),
    "3_2gf": (25, 88, 26.31, 2.25, 48),
    "4_0gf": (23, 96, 38.65, 2.43, 40),
    "6_4gf": (17, 184, 60.83, 2.07, 56),
    "8gf": (23, 80, 49.56, 2.88, 120),
    "12gf": (19, 168, 73.36, 2.37, 112),
    "16gf": (22, 216, 55.59, 2.1, 128),
    "32gf": (23, 320, 69.86, 2.0, 168),
}
Y: dict[str, Row] = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (16, 48, 27.89, 2.09, 8),
    "600mf": (15, 48, 32.54, 2.32, 16),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1_6gf": (27, 48, 20.71, 2.65, 24),
    "3_2gf": (21, 80, 42.63, 2.66, 24),
    "4_0gf": (22, 96, 31.41, 2.24, 64),
    "6_4gf": (25, 112, 33.22, 2.27, 72),
    "8gf": (17, 192, 76.82, 2.19, 56),
    "12gf": (19, 168, 73.36, 2.37, 112),
    "16gf": (18, 200, 106.23, 2.48, 112),
    "32gf": (20, 232, 115.89, 2.53, 232),
    "128gf": (27, 456, 160.83, 2.52, 264),
}
OTHERS = ("regnet_x_400mf", "regnet_y_800mf", "regnet_y_8gf")
"""Of these, torchvision's widths are others."""
SQUEEZE = 4
"""How many times fewer channels than the unit reads its squeeze makes."""


@dataclass(frozen=True, kw_only=True)
class RegNetConventions(StemConventions):
    """Published RegNets are one function."""

    classifier_bias: bool = True


PRESETS: dict[str, RegNetConventions] = {
    # torchvision.models.regnet; timm's and MindCV's are the same.
    "torchvision": RegNetConventions(),
}


@dataclass(frozen=True, kw_only=True)
class RegNetSpec(Spec):
    """A RegNet.

    Attributes:
        stem_channels: of the first convolution; no max pool follows it.
        stage_channels, stage_repeats: channels and units of each stage; all halve the map.
        group_channels: of each group of the 3×3 convolutions.
        squeeze_excite: whether units have it, as those of a RegNet Y.
        dropout: probability before the classifier, in training.
        conventions: see `RegNetConventions`.
    """

    family: ClassVar[str] = "regnet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = RegNetConventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: int = 32
    stage_channels: tuple[int, ...]
    stage_repeats: tuple[int, ...]
    group_channels: int
    squeeze_excite: bool = False
    dropout: float = 0.0
    conventions: RegNetConventions = PRESETS["torchvision"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("stem_channels", self.stem_channels)
        require_rows(self, "stage_channels", "stage_repeats")
        require_positive("group_channels", self.group_channels)
        if not isinstance(self.squeeze_excite, bool):
            raise SpecError(f"squeeze_excite (={self.squeeze_excite!r}) must be True or False")
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> RegNetSpec:
        """A unit with a shortcut of its own begins a stage."""
        known = cast(RegNetConventions, conventions)
        try:
            stem, num_classes = outer["stem.conv.weight"], outer["classifier.weight"][0]
            stages = begun_by("shortcut.conv.weight", units)
            return cls(
                num_classes=num_classes,
                in_channels=stem[1],
                stem_channels=stem[0],
                stage_channels=tuple(stage[0]["conv3.conv.weight"][0] for stage in stages),
                stage_repeats=tuple(map(len, stages)),
                group_channels=max(stage[0]["conv2.conv.weight"][1] for stage in stages),
                squeeze_excite="se.squeeze.weight" in units[0],
                conventions=replace(known, classifier_bias="classifier.bias" in outer),
            )
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        first, *others = strides(c.stem, (2,) * (1 + len(self.stage_channels)))
        x = conv(g, g.input, "stem", self.stem_channels, 3, first)
        stages = zip(self.stage_channels, self.stage_repeats, others, strict=True)
        for stage, (channels, repeats, stride) in enumerate(stages, start=1):
            for i in range(repeats):
                with g.scope(f"stage{stage}.{i}"):
                    x = self._unit(g, x, channels, stride if i == 0 else None)
        x = g.flatten(g.global_avg_pool(x))
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _unit(self, g: GraphBuilder, x: str, channels: int, stride: int | None) -> str:
        """Figure 4 of the paper; with a ``stride``, the first of a stage."""
        groups = max(1, channels // self.group_channels)
        y = conv(g, x, "conv1", channels, 1)
        y = conv(g, y, "conv2", channels, 3, stride or 1, groups=groups)
        if self.squeeze_excite:
            with g.scope("se"):
                y = g.squeeze_excite(y, round(g.channels(x) / SQUEEZE))
        y = conv(g, y, "conv3", channels, 1, relu=False)
        return joined(g, x, y, stride or 1, begins=stride is not None)


def quantized(
    row: Row, nearest: Callable[[float], int] = round
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (channels, repeats) of the stages: section 3.3 of the paper.

    Widths grow in a line from unit to unit, are moved to the nearest power of a step times the
    first, then to a multiple of 8, and those of a stage at last to the ``nearest`` one of the
    groups' width.
    """
    depth, width, slope, step, group = row
    powers = (round(math.log(1 + slope * i / width, step)) for i in range(depth))
    widths = [round(width * step**power / 8) * 8 for power in powers]
    stages = [(w, len(list(run))) for w, run in groupby(widths)]
    channels = tuple(nearest(w / min(group, w)) * min(group, w) for w, _ in stages)
    return channels, tuple(repeats for _, repeats in stages)


def _not_less(number: float) -> int:
    """Round as torchvision does: halves up, and what would lose more than a tenth too."""
    near = math.floor(number + 0.5)
    return near + (near < 0.9 * number)


def _models() -> dict[str, Spec]:
    found: dict[str, Spec] = {}
    for kind, table in (("x", X), ("y", Y)):
        for size, row in table.items():
            name = f"regnet_{kind}_{size}"
            found[name] = _model(row, kind, round)
            if name in OTHERS:
                found[f"{name}_tv"] = _model(row, kind, _not_less)
    return found


def _model(row: Row, kind: str, nearest: Callable[[float], int]) -> RegNetSpec:
    channels, repeats = quantized(row, nearest)
    return RegNetSpec(
        stage_channels=channels,
        stage_repeats=repeats,
        group_channels=row[-1],
        squeeze_excite=kind == "y",
    )


MODELS = _models()
"""Name → spec of the published networks; with ``_tv``, those of torchvision alone."""


def _timm(name: str) -> str:
    """Return what timm calls a network: regnet_x_1_6gf is its regnetx_016."""
    _, kind, size, *rest = name.split("_")
    if rest[:1] not in ([], ["tv"]):  # 1_6gf
        return f"regnet{kind}_0{size}{rest[0][0]}"
    tenths = f"00{size[0]}" if size.endswith("mf") else f"{size[:-2] + '0':0>3}"
    return "_".join((f"regnet{kind}", tenths, *rest))


ALIASES = {_timm(name): name for name in MODELS} | {
    f"regnet_{kind}_8_0gf": f"regnet_{kind}_8gf" for kind in "xy"
}
"""What timm and MindCV call them → name."""
