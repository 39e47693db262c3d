"""MobileNetV4, the convolutional networks (Qin, Leichner, Delakis, Fornoni, …: arXiv:2404.10518).

Its universal inverted bottleneck has two places for a depthwise convolution, before the expansion
and after it; each unit fills both, one of them or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, require_positive
from zoo.errors import SpecError
from zoo.families.inverted import UnitsSpec, classifier, depthwise, divisible, stem
from zoo.families.stages import require_entries, require_units
from zoo.families.stems import StemConventions

KINDS = ("conv", "fused", "universal")
"""Of units: one convolution; one that expands, and a 1×1 convolution that projects; a universal
inverted bottleneck."""

# The tables of the paper as timm has them, row by row, and of each unit of a row: kind, kernels of
# its two places (0 for an empty one), expansion, channels.
Unit = tuple[str, int, int, int, int]
SMALL: tuple[tuple[Unit, ...], ...] = (
    (("conv", 0, 3, 1, 32), ("conv", 0, 1, 1, 32)),
    (("conv", 0, 3, 1, 96), ("conv", 0, 1, 1, 64)),
    (
        ("universal", 5, 5, 3, 96),
        *[("universal", 0, 3, 2, 96)] * 4,
        ("universal", 3, 0, 4, 96),
    ),
    (
        ("universal", 3, 3, 6, 128),
        ("universal", 5, 5, 4, 128),
        ("universal", 0, 5, 4, 128),
        ("universal", 0, 5, 3, 128),
        *[("universal", 0, 3, 4, 128)] * 2,
    ),
    (("conv", 0, 1, 1, 960),),
)
MEDIUM: tuple[tuple[Unit, ...], ...] = (
    (("fused", 0, 3, 4, 48),),
    (("universal", 3, 5, 4, 80), ("universal", 3, 3, 2, 80)),
    (
        ("universal", 3, 5, 6, 160),
        *[("universal", 3, 3, 4, 160)] * 2,
        ("universal", 3, 5, 4, 160),
        ("universal", 3, 3, 4, 160),
        ("universal", 3, 0, 4, 160),
        ("universal", 0, 0, 2, 160),
        ("universal", 3, 0, 4, 160),
    ),
    (
        ("universal", 5, 5, 6, 256),
        ("universal", 5, 5, 4, 256),
        *[("universal", 3, 5, 4, 256)] * 2,
        ("universal", 0, 0, 4, 256),
        ("universal", 3, 0, 4, 256),
        ("universal", 3, 5, 2, 256),
        ("universal", 5, 5, 4, 256),
        *[("universal", 0, 0, 4, 256)] * 2,
        ("universal", 5, 0, 2, 256),
    ),
    (("conv", 0, 1, 1, 960),),
)
LARGE: tuple[tuple[Unit, ...], ...] = (
    (("fused", 0, 3, 4, 48),),
    (("universal", 3, 5, 4, 96), ("universal", 3, 3, 4, 96)),
    (
        ("universal", 3, 5, 4, 192),
        *[("universal", 3, 3, 4, 192)] * 3,
        ("universal", 3, 5, 4, 192),
        *[("universal", 5, 3, 4, 192)] * 5,
        ("universal", 3, 0, 4, 192),
    ),
    (
        *[("universal", 5, 5, 4, 512)] * 4,
        ("universal", 5, 0, 4, 512),
        ("universal", 5, 3, 4, 512),
        *[("universal", 5, 0, 4, 512)] * 2,
        ("universal", 5, 3, 4, 512),
        ("universal", 5, 5, 4, 512),
        *[("universal", 5, 0, 4, 512)] * 3,
    ),
    (("conv", 0, 1, 1, 960),),
)

# github.com/huggingface/pytorch-image-models, models/mobilenetv3.py
PRESETS: dict[str, StemConventions] = {"timm": StemConventions(classifier_bias=True)}


@dataclass(frozen=True, kw_only=True)
class MobileNetV4Spec(UnitsSpec):
    """A MobileNetV4 of convolutions.

    Attributes:
        unit_kinds: of `KINDS`.
        unit_start_kernels: of the depthwise convolution before a unit's expansion; 0 for none.
        unit_kernels: of that after it, or of a unit's only convolution; 0 for none.
        unit_factors: by which a unit expands what it reads; of no account in one convolution.
        unit_channels: that it makes.
        hidden_channels: of the convolution behind the mean, before the classifier.
        conventions: by default those of timm.
    """

    family: ClassVar[str] = "mobilenet_v4"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = StemConventions

    stage_strides: tuple[int, ...] = (2, 2, 2, 2, 1)
    unit_kinds: tuple[str, ...]
    unit_start_kernels: tuple[int, ...]
    unit_kernels: tuple[int, ...]
    unit_factors: tuple[int, ...]
    unit_channels: tuple[int, ...]
    hidden_channels: int = 1280
    conventions: StemConventions = PRESETS["timm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("hidden_channels", self.hidden_channels)
        require_units(self, "unit_factors", "unit_channels")
        for name in ("unit_kinds", "unit_start_kernels", "unit_kernels"):
            row = getattr(self, name)
            if not isinstance(row, tuple):
                raise SpecError(f"{name} (={row!r}) must be a list")
            require_entries(self, name, "unit", self.repeats)
        for kernel in (*self.unit_start_kernels, *self.unit_kernels):
            require_positive("kernel of a unit", kernel, least=0)
        for flat, row, i, stride in self.units():
            kind, name = self.unit_kinds[flat], f"stage{row + 1}.{i}"
            start, kernel = self.unit_start_kernels[flat], self.unit_kernels[flat]
            if kind not in KINDS:
                raise SpecError(f"{name}: kind (={kind!r}) must be one of {', '.join(KINDS)}")
            if kind != "universal" and (start or not kernel):
                told = f"kernels (={(start, kernel)})"
                raise SpecError(f"{name}: {told} of a {kind} unit must be 0 and another number")
            if stride > 1 and not (start or kernel):
                raise SpecError(f"{name}: stride (={stride}) must be 1 where there is no kernel")

    def widened(
        self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]
    ) -> MobileNetV4Spec:
        """Return the network as wide as the shapes are."""
        wide = super().widened(outer, units)
        ends = ["conv" if kind == "conv" else "project.conv" for kind in self.unit_kinds]
        made = [unit[f"{end}.weight"][0] for end, unit in zip(ends, units, strict=True)]
        hidden_channels = outer["hidden.conv.weight"][0]
        return replace(wide, unit_channels=tuple(made), hidden_channels=hidden_channels)

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stem(g, self, g.relu)
        for flat, row, i, stride in self.units():
            with g.scope(f"stage{row + 1}.{i}"):
                x = self._unit(g, x, flat, stride)
        x = g.global_avg_pool(x)
        with g.scope("hidden"):
            x = g.relu(g.conv_bn(x, self.hidden_channels))
        x = g.flatten(x)
        return g.build(classifier(g, x, self, self.dropout))

    def _unit(self, g: GraphBuilder, x: str, flat: int, stride: int) -> str:
        """Add a unit; what it read is added where that has the same shape."""
        kind, channels = self.unit_kinds[flat], self.unit_channels[flat]
        start, kernel = self.unit_start_kernels[flat], self.unit_kernels[flat]
        if kind == "conv":
            return g.relu(g.conv_bn(x, channels, kernel_size=kernel, stride=stride))
        y, expanded = x, g.channels(x) * self.unit_factors[flat]
        if kind == "fused":
            with g.scope("fused"):
                y = g.relu(g.conv_bn(y, expanded, kernel_size=kernel, stride=stride))
        else:
            if start:
                with g.scope("start"):
                    y = depthwise(g, y, start, 1 if kernel else stride)
            with g.scope("expand"):
                y = g.relu(g.conv_bn(y, expanded))
            if kernel:
                with g.scope("depthwise"):
                    y = g.relu(depthwise(g, y, kernel, stride))
        with g.scope("project"):
            y = g.conv_bn(y, channels)
        return g.add(x, y) if stride == 1 and g.channels(x) == channels else y


def _spec(
    rows: tuple[tuple[Unit, ...], ...],
    width: float = 1.0,
    stem_channels: int = 32,
    image_size: int = 224,
) -> MobileNetV4Spec:
    kinds, starts, kernels, factors, channels = zip(*(u for row in rows for u in row), strict=True)
    return MobileNetV4Spec(
        stem_channels=stem_channels,
        stage_repeats=tuple(len(row) for row in rows),
        unit_kinds=kinds,
        unit_start_kernels=starts,
        unit_kernels=kernels,
        unit_factors=factors,
        unit_channels=tuple(divisible(c * width) for c in channels),
        image_size=image_size,
    )


MODELS: dict[str, MobileNetV4Spec] = {
    "mobilenet_v4_conv_small_0.5x": _spec(SMALL, 0.5),
    "mobilenet_v4_conv_small_1.0x": _spec(SMALL),
    "mobilenet_v4_conv_medium_1.0x": _spec(MEDIUM, image_size=256),
    "mobilenet_v4_conv_large_1.0x": _spec(LARGE, stem_channels=24, image_size=384),
}
"""Name → spec of the published networks."""

ALIASES = {
    "mobilenetv4_conv_small_050": "mobilenet_v4_conv_small_0.5x",
    "mobilenetv4_conv_small": "mobilenet_v4_conv_small_1.0x",
    "mobilenetv4_conv_medium": "mobilenet_v4_conv_medium_1.0x",
    "mobilenetv4_conv_large": "mobilenet_v4_conv_large_1.0x",
}
"""What timm calls them → name."""
