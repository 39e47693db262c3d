"""GhostNet (Han, Wang, Tian, Guo, Xu, Xu: arXiv:1911.11907) and GhostNetV2 (arXiv:2211.12905).

Half of what a 1×1 convolution would make, a cheap depthwise one makes of the other half. In V2 what
a unit expands to is weighed, pixel by pixel, by a map of half the size that sees far along rows and
columns. It is brought to the size of the map that it weighs, which is known when the network is
made: a V2 takes images of the size that it was made for (``image_size=``), and its weights fit any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.later import LATER
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_rows
from zoo.errors import SpecError
from zoo.families.inverted import UnitsSpec, classifier, depthwise, divisible, stem
from zoo.families.stages import require_flags, require_units
from zoo.families.stems import StemConventions

# Table 1 of the paper, in the stages of the authors' code: kernel, stride of the first unit, and of
# each unit what it expands to, what it makes, squeeze and excitation.
ROWS = (
    (3, 1, ((16, 16, False),)),
    (3, 2, ((48, 24, False),)),
    (3, 1, ((72, 24, False),)),
    (5, 2, ((72, 40, True),)),
    (5, 1, ((120, 40, True),)),
    (3, 2, ((240, 80, False),)),
    (
        3,
        1,
        (
            (200, 80, False),
            (184, 80, False),
            (184, 80, False),
            (480, 112, True),
            (672, 112, True),
        ),
    ),
    (5, 2, ((672, 160, True),)),
    (5, 1, ((960, 160, False), (960, 160, True)) * 2),
)


@dataclass(frozen=True, kw_only=True)
class GhostNetConventions(StemConventions):
    """Where networks called "GhostNet" differ: in what all networks may differ in."""

    classifier_bias: bool = True


PRESETS: dict[str, GhostNetConventions] = {
    # github.com/huggingface/pytorch-image-models, models/ghostnet.py, as the authors; MindCV
    # has the same function.
    "timm": GhostNetConventions(),
}


@dataclass(frozen=True, kw_only=True)
class GhostNetSpec(UnitsSpec):
    """A GhostNet.

    Attributes:
        stage_kernels: of the depthwise convolutions of each row.
        unit_mid_channels, unit_channels: what each unit expands to, and what it makes.
        unit_gates: whether it has squeeze and excitation.
        unit_attention: whether what it expands to is weighed pixel by pixel; of none for V1.
        last_channels: of the 1×1 convolution after the units.
        hidden_channels: of the one behind the mean, before the classifier.
        conventions: see `GhostNetConventions`.
    """

    family: ClassVar[str] = "ghostnet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = GhostNetConventions

    stem_channels: int = 16
    stage_repeats: tuple[int, ...] = tuple(len(units) for _, _, units in ROWS)
    stage_strides: tuple[int, ...] = tuple(stride for _, stride, _ in ROWS)
    stage_kernels: tuple[int, ...] = tuple(kernel for kernel, _, _ in ROWS)
    unit_mid_channels: tuple[int, ...]
    unit_channels: tuple[int, ...]
    unit_gates: tuple[bool, ...] = tuple(gate for *_, units in ROWS for *_, gate in units)
    unit_attention: tuple[bool, ...] = field(default=(), metadata=LATER)
    last_channels: int
    hidden_channels: int = 1280
    conventions: GhostNetConventions = PRESETS["timm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_repeats", "stage_kernels")
        require_units(self, "unit_mid_channels", "unit_channels")
        require_flags(self, "unit_gates", "unit", self.repeats)
        if self.unit_attention:
            require_flags(self, "unit_attention", "unit", self.repeats)
        for name in ("unit_mid_channels", "unit_channels"):
            if any(channels % 2 for channels in getattr(self, name)):
                raise SpecError(f"{name} (={getattr(self, name)}) must be even: two halves each")
        require_positive("last_channels", self.last_channels)
        require_positive("hidden_channels", self.hidden_channels)

    def widened(
        self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]
    ) -> GhostNetSpec:
        """Return the network as wide as the shapes are."""

        def made(ghost: str) -> tuple[int, ...]:
            parts = [f"{ghost}.{part}.conv.weight" for part in ("primary", "cheap")]
            return tuple(sum(unit[part][0] for part in parts) for unit in units)

        return replace(
            super().widened(outer, units),
            unit_mid_channels=made("expand"),
            unit_channels=made("project"),
            last_channels=outer["last.conv.weight"][0],
            hidden_channels=outer["hidden.weight"][0],
        )

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stem(g, self, g.relu)
        for flat, row, i, stride in self.units():
            with g.scope(f"stage{row + 1}.{i}"):
                halves = i == 0 and self.stage_strides[row] > 1
                x = self._unit(g, x, flat, self.stage_kernels[row], stride, halves=halves)
        with g.scope("last"):
            x = g.relu(g.conv_bn(x, self.last_channels))
        x = g.conv(g.global_avg_pool(x), self.hidden_channels, bias=True, name="hidden")
        x = g.flatten(g.relu(x))
        return g.build(classifier(g, x, self, self.dropout))

    def _unit(
        self, g: GraphBuilder, x: str, flat: int, kernel_size: int, stride: int, *, halves: bool
    ) -> str:
        """Figure 3 of the paper; one that ``halves`` has the layers for it whatever the stem."""
        mid_channels, channels = self.unit_mid_channels[flat], self.unit_channels[flat]
        y = _ghost(g, x, "expand", mid_channels, relu=True)
        if self.unit_attention and self.unit_attention[flat]:
            with g.scope("attention"):
                y = _attention(g, x, y)
        if halves:
            y = _depthwise(g, y, kernel_size, stride)
        if self.unit_gates[flat]:
            with g.scope("se"):
                y = g.squeeze_excite(y, divisible(mid_channels / 4, 4), gate=g.hard_sigmoid)
        y = _ghost(g, y, "project", channels, relu=False)
        if halves or g.channels(x) != channels:
            with g.scope("shortcut"):
                x = _depthwise(g, x, kernel_size, stride)
                with g.scope("project"):
                    x = g.conv_bn(x, channels)
        return g.add(x, y)


def _ghost(g: GraphBuilder, x: str, name: str, channels: int, *, relu: bool) -> str:
    """Figure 1 of the paper."""
    half = channels // 2
    with g.scope(name):
        with g.scope("primary"):
            x = g.conv_bn(x, half)
            x = g.relu(x) if relu else x
        with g.scope("cheap"):
            y = g.conv_bn(x, half, kernel_size=3, groups=half)
            y = g.relu(y) if relu else y
        return g.concat((x, y))


def _attention(g: GraphBuilder, x: str, y: str) -> str:
    """Weigh what was made of ``x`` by what stands in its row and column: Figure 4 of V2's paper."""
    channels = g.channels(y)
    weight = g.avg_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
    with g.scope("pointwise"):
        weight = g.conv_bn(weight, channels)
    for name, kernel_size in (("horizontal", (1, 5)), ("vertical", (5, 1))):
        with g.scope(name):
            weight = g.conv_bn(weight, channels, kernel_size=kernel_size, groups=channels)
    return g.mul(y, g.upsample(g.sigmoid(weight), g.size(y)))


def _depthwise(g: GraphBuilder, x: str, kernel_size: int, stride: int) -> str:
    with g.scope("depthwise"):
        return depthwise(g, x, kernel_size, stride)


def _spec(width: float, *, attention: bool = False) -> Spec:
    units = [unit for *_, row in ROWS for unit in row]
    mid_channels = tuple(divisible(mid * width, 4) for mid, _, _ in units)
    return GhostNetSpec(
        stem_channels=divisible(16 * width, 4),
        unit_mid_channels=mid_channels,
        unit_channels=tuple(divisible(channels * width, 4) for _, channels, _ in units),
        unit_attention=tuple(flat > 1 for flat in range(len(units))) if attention else (),
        last_channels=mid_channels[-1],
    )


WIDTHS = {"ghostnet": (0.5, 1.0, 1.3), "ghostnet_v2": (1.0, 1.3, 1.6)}

MODELS: dict[str, Spec] = {
    f"{version}_{width}x": _spec(width, attention=version == "ghostnet_v2")
    for version, widths in WIDTHS.items()
    for width in widths
}
"""Name → spec of the published networks; V2's first two units are V1's."""

ALIASES = {
    f"{version.replace('_', '')}_{round(100 * width):03}": f"{version}_{width}x"
    for version, widths in WIDTHS.items()
    for width in widths
}
"""What timm and MindCV call them → name."""
