"""MnasNet-A1 (Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le: arXiv:1807.11626).

The network of figure 7 of the paper: some of its rows have squeeze and excitation, as those of
MnasNet-B1 have not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.spec import Conventions, Spec
from zoo.families.inverted import ExpandedRowsSpec, divisible, head, stem, unit
from zoo.families.stages import require_flags
from zoo.families.stems import StemConventions

# Expansion, channels, units, stride of the first, kernel, squeeze and excitation.
ROWS = (
    (1, 16, 1, 1, 3, False),
    (6, 24, 2, 2, 3, False),
    (3, 40, 3, 2, 5, True),
    (6, 80, 4, 2, 3, False),
    (6, 112, 2, 1, 3, True),
    (6, 160, 3, 2, 5, True),
    (6, 320, 1, 1, 3, False),
)

# github.com/huggingface/pytorch-image-models, models/efficientnet.py
PRESETS: dict[str, StemConventions] = {"timm": StemConventions(classifier_bias=True)}


@dataclass(frozen=True, kw_only=True)
class MnasNetA1Spec(ExpandedRowsSpec):
    """A MnasNet-A1.

    Attributes:
        stage_gates: whether a row's units have squeeze and excitation, its hidden width a quarter
            of what the unit reads.
        conventions: by default those of timm.
    """

    family: ClassVar[str] = "mnasnet_a1"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = StemConventions

    stage_factors: tuple[int, ...] = tuple(row[0] for row in ROWS)
    stage_channels: tuple[int, ...] = tuple(row[1] for row in ROWS)
    stage_repeats: tuple[int, ...] = tuple(row[2] for row in ROWS)
    stage_strides: tuple[int, ...] = tuple(row[3] for row in ROWS)
    stage_kernels: tuple[int, ...] = tuple(row[4] for row in ROWS)
    stage_gates: tuple[bool, ...] = tuple(row[5] for row in ROWS)
    conventions: StemConventions = PRESETS["timm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_flags(self, "stage_gates", "stage", len(self.stage_channels))

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        x = stem(g, self, g.relu)
        for _, row, i, stride in self.units():
            hidden = max(1, g.channels(x) // 4)

            def gate(x: str, hidden: int = hidden) -> str:
                return g.squeeze_excite(x, hidden)

            with g.scope(f"stage{row + 1}.{i}"):
                x = unit(
                    g,
                    x,
                    self.stage_channels[row],
                    expanded=g.channels(x) * self.stage_factors[row],
                    kernel_size=self.stage_kernels[row],
                    stride=stride,
                    activation=g.relu,
                    gate=gate if self.stage_gates[row] else None,
                )
        with g.scope("last"):
            x = g.relu(g.conv_bn(x, self.last_channels))
        return g.build(head(g, x, self, self.dropout))


WIDTHS = (0.5, 0.75, 1.0, 1.4)
MODELS: dict[str, Spec] = {
    f"mnasnet_a1_{width}x": MnasNetA1Spec(
        stem_channels=divisible(32 * width),
        stage_channels=tuple(divisible(row[1] * width) for row in ROWS),
    )
    for width in WIDTHS
}
"""Name → spec of the published networks."""

ALIASES = {f"semnasnet_{width * 100:03.0f}": f"mnasnet_a1_{width}x" for width in WIDTHS}
"""What timm calls them → name."""
