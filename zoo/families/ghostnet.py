"""GhostNet (Han, Wang, Tian, Guo, Xu, Xu: arXiv:1911.11907).

Half of what a 1×1 convolution would make, a cheap depthwise one makes of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_positive, require_rows
from zoo.errors import SpecError
from zoo.families.inverted import UnitsSpec, divisible, stem
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
    last_channels: int
    hidden_channels: int = 1280
    conventions: GhostNetConventions = PRESETS["timm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_repeats", "stage_kernels")
        require_units(self, "unit_mid_channels", "unit_channels")
        require_flags(self, "unit_gates", "unit", self.repeats)
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
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _unit(
        self, g: GraphBuilder, x: str, flat: int, kernel_size: int, stride: int, *, halves: bool
    ) -> str:
        """Figure 3 of the paper; one that ``halves`` has the layers for it whatever the stem."""
        mid_channels, channels = self.unit_mid_channels[flat], self.unit_channels[flat]
        y = _ghost(g, x, "expand", mid_channels, relu=True)
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


def _depthwise(g: GraphBuilder, x: str, kernel_size: int, stride: int) -> str:
    with g.scope("depthwise"):
        groups = g.channels(x)
        return g.conv_bn(x, groups, kernel_size=kernel_size, stride=stride, groups=groups)


def _spec(width: float) -> Spec:
    units = [unit for *_, row in ROWS for unit in row]
    mid_channels = tuple(divisible(mid * width, 4) for mid, _, _ in units)
    return GhostNetSpec(
        stem_channels=divisible(16 * width, 4),
        unit_mid_channels=mid_channels,
        unit_channels=tuple(divisible(channels * width, 4) for _, channels, _ in units),
        last_channels=mid_channels[-1],
    )


MODELS: dict[str, Spec] = {f"ghostnet_{width}x": _spec(width) for width in (0.5, 1.0, 1.3)}
"""Name → spec of the published networks."""

ALIASES = {f"ghostnet_{round(100 * width):03}": f"ghostnet_{width}x" for width in (0.5, 1.0, 1.3)}
"""What timm and MindCV call them → name."""
