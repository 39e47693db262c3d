"""MnasNet-B1 (Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le: arXiv:1807.11626)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from zoo.arch.graph import Graph
from zoo.arch.spec import Conventions, Spec
from zoo.families.inverted import ExpandedRowsSpec, divisible
from zoo.families.stems import StemConventions

# The authors' release, github.com/tensorflow/tpu, models/official/mnasnet (mnasnet_b1): expansion,
# channels, units, stride of the first, kernel.
ROWS = (
    (1, 16, 1, 1, 3),
    (3, 24, 3, 2, 3),
    (3, 40, 3, 2, 5),
    (6, 80, 3, 2, 5),
    (6, 96, 2, 1, 3),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


@dataclass(frozen=True, kw_only=True)
class MnasNetConventions(StemConventions):
    """Published networks of this name differ in the numbers of their batch norms alone."""

    classifier_bias: bool = True


PRESETS: dict[str, MnasNetConventions] = {
    # torchvision.models.mnasnet
    "torchvision": MnasNetConventions(bn_momentum=1 - 0.9997),
    # github.com/huggingface/pytorch-image-models, models/efficientnet.py
    "timm": MnasNetConventions(),
    # github.com/mindspore-lab/mindcv, models/mnasnet.py
    "mindcv": MnasNetConventions(bn_eps=1e-3, bn_momentum=0.01),
}


@dataclass(frozen=True, kw_only=True)
class MnasNetSpec(ExpandedRowsSpec):
    """A MnasNet.

    Attributes:
        stage_factors: how many times as many channels as it reads a row's units have inside.
        last_channels: of the 1×1 convolution after the units.
        conventions: see `MnasNetConventions`.
    """

    family: ClassVar[str] = "mnasnet"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = MnasNetConventions

    stage_factors: tuple[int, ...] = tuple(row[0] for row in ROWS)
    stage_channels: tuple[int, ...] = tuple(row[1] for row in ROWS)
    stage_repeats: tuple[int, ...] = tuple(row[2] for row in ROWS)
    stage_strides: tuple[int, ...] = tuple(row[3] for row in ROWS)
    stage_kernels: tuple[int, ...] = tuple(row[4] for row in ROWS)
    conventions: MnasNetConventions = PRESETS["torchvision"]

    def expand(self) -> Graph:
        return self.plain(lambda g: g.relu)


WIDTHS = (0.5, 0.75, 1.0, 1.3, 1.4)
MODELS: dict[str, Spec] = {
    f"mnasnet_{width}x": MnasNetSpec(
        stem_channels=divisible(32 * width),
        stage_channels=tuple(divisible(row[1] * width) for row in ROWS),
    )
    for width in WIDTHS
}
"""Name → spec of the published networks."""

ALIASES = {
    # torchvision: mnasnet0_5; timm and MindCV: mnasnet_050.
    **{f"mnasnet{width}".replace(".", "_"): f"mnasnet_{width}x" for width in WIDTHS},
    **{f"mnasnet_{width * 100:03.0f}": f"mnasnet_{width}x" for width in WIDTHS},
}
"""What other zoos call them → name."""
