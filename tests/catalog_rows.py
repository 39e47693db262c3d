"""The networks of the catalog that stand for all of them in tests that take seconds a network."""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import zoo
from zoo.arch.operators import Conv2d

LARGE = 100e6
"""Parameters. To fill more takes seconds; VGGs are narrow ones in test_parity."""


def kind(name):
    """Return what networks of a kind have in common: all but how wide and how deep they are."""
    spec = zoo.spec(name)
    convolutions = [node.op for node in spec.graph.nodes if isinstance(node.op, Conv2d)]
    values = (
        getattr(part, field.name)
        for part in (spec, spec.conventions)
        for field in dataclasses.fields(part)
    )
    return (
        spec.family,
        *(len(value) if isinstance(value, tuple) else value for value in values
          if isinstance(value, bool | str | tuple)),
        any(1 < op.groups < op.in_channels for op in convolutions),
    )  # fmt: skip


@cache
def params(name):
    """Return the parameters of a network, as `zoo.cost` does and in a tenth of the time."""
    parameters = zoo.spec(name).graph.parameters.values()
    return sum(math.prod(p.shape) for p in parameters if p.trainable)


def smallest_of_each_kind():
    """Return the names of the networks with the fewest parameters, one for each kind."""
    found = {}
    for name in sorted(zoo.list_models(), key=params):
        if params(name) < LARGE:
            found.setdefault(kind(name), name)
    return sorted(found.values())


def small(name):
    """Return the spec of a network with small images, and not as deep as the deepest."""
    spec = zoo.spec(name, **FEW_UNITS.get(name, {}))
    return spec.replace(image_size=min(spec.image_size, SIZES.get(spec.family, 64)))


FEW_UNITS = {"se_shufflenet_v2_164": {"stage_repeats": (2, 3, 3, 2)}}
SIZES = {"efficientnet": 128, "mobilenet_v2": 128, "mobilenet_v3": 96}
"""Of 2×2 maps kernels of 5×5 and gates see too little, and multiply what float32 loses."""
EACH_KIND = smallest_of_each_kind()
"""Other networks differ from these in numbers alone. All of them are proven by benchmarks/parity.py
(benchmarks/results/parity.json), and the tests that take milliseconds run over all."""
SMALL = {"image_size": 64}
ROWS = dict(
    stage_repeats=(1, 2, 1), stage_channels=(8, 12, 16), stage_strides=(1, 2, 2), last_channels=32,
    **SMALL,
)  # fmt: skip
SHORT = {
    "resnet9": dict(channels=(8, 16, 16, 16)),
    "resnet18_cifar": dict(
        stem_channels=8, stage_channels=(8, 16, 24, 32), mid_channels=(8, 16, 24, 32),
        stage_repeats=(1, 1, 2, 1),
    ),
    "resnext50_32x4d": dict(
        stem_channels=8, stage_channels=(16, 32, 48), mid_channels=(8, 16, 24), groups=4,
        stage_repeats=(1, 2, 1), **SMALL,
    ),
    "mobilenet_v1_0.25x": dict(
        stage_channels=(8, 16, 24), stage_repeats=(1, 2, 1), stage_strides=(1, 2, 2),
        stage_kernels=(3, 3, 3), **SMALL,
    ),
    "mobilenet_v2_0.35x": dict(ROWS, stage_factors=(1, 6, 6), stage_kernels=(3, 3, 3)),
    "mobilenet_v3_small_0.5x": dict(
        ROWS, stage_kernels=(3, 3, 5), unit_channels=(16, 32, 40, 48), hidden_channels=40,
        stage_gates=(False, True, True), stage_swish=(False, True, True),
    ),
    "mnasnet_0.5x": dict(ROWS, stage_factors=(1, 3, 6), stage_kernels=(3, 3, 5)),
    "efficientnet_b0": dict(ROWS, stage_factors=(1, 6, 6), stage_kernels=(3, 3, 5)),
    "squeezenet1_1": dict(
        stem_channels=16, stage_repeats=(1, 1, 2), squeeze_channels=(8, 8, 12, 12),
        expand_channels=(24, 32, 40, 48), num_classes=50, **SMALL,
    ),
    **{
        name: dict(stage_channels=(8, 16, 16, 24, 24), hidden_channels=64, num_classes=100,
                   conventions="timm", **SMALL)
        for name in ("vgg11", "vgg11_bn")
    },
    **{
        name: dict(stage_channels=(8, 16, 24), stage_repeats=(1, 2, 1), **SMALL)
        for name in ("convnext_atto", "convnext_tiny")
    },
    "densenet121": dict(growth_rate=12, stem_channels=24, stage_repeats=(1, 2, 1), **SMALL),
    "ghostnet_0.5x": dict(
        stage_repeats=(1, 1, 2), stage_strides=(1, 2, 1), stage_kernels=(3, 5, 3), **SMALL,
        unit_mid_channels=(8, 24, 36, 36), unit_channels=(8, 12, 12, 16), last_channels=32,
        unit_gates=(False, True, False, True), hidden_channels=64,
    ),
    # Maps of 15×15 are weighed by those of 7×7.
    "ghostnet_v2_1.0x": dict(
        stage_repeats=(1, 1, 2), stage_strides=(1, 2, 1), stage_kernels=(3, 5, 3), image_size=60,
        unit_mid_channels=(8, 24, 36, 36), unit_channels=(8, 12, 12, 16), last_channels=32,
        unit_gates=(False, True, False, True), unit_attention=(False, True, True, True),
        hidden_channels=64,
    ),
    "mnasnet_a1_0.5x": dict(
        stage_factors=(1, 6, 3), stage_channels=(8, 16, 24), stage_repeats=(1, 1, 2), **SMALL,
        stage_strides=(1, 2, 2), stage_kernels=(3, 3, 5), stage_gates=(False, False, True),
        last_channels=32,
    ),
    "mobilenet_v4_conv_small_0.5x": dict(
        stage_repeats=(1, 2, 2), stage_strides=(2, 2, 1), hidden_channels=32, **SMALL,
        unit_kinds=("fused", *("universal",) * 3, "conv"), unit_start_kernels=(0, 3, 3, 0, 0),
        unit_kernels=(3, 5, 0, 0, 1), unit_factors=(4, 3, 2, 2, 1), stem_channels=16,
        unit_channels=(16, 24, 24, 24, 32),
    ),
    "regnet_y_200mf": dict(
        stage_channels=(16, 24, 32), stage_repeats=(1, 2, 1), num_classes=100, **SMALL
    ),
    "se_shufflenet_v2_164": dict(
        stem_channels=(16, 16, 24), stage_channels=(60, 90, 120, 120),
        stage_repeats=(1, 2, 1, 2), last_channels=128, image_size=64,
    ),
    "shufflenet_v2_large": dict(
        stem_channels=(8, 8, 16), stage_channels=(32, 64), stage_repeats=(2, 2), groups=4,
        last_channels=24, **SMALL,
    ),
    "shufflenet_v2_plus_small": dict(
        stem_channels=6, stage_channels=(16, 36, 76, 156), stage_repeats=(2, 3, 4, 2),
        units=(
            "3x3", "xception", "5x5", "7x7", "3x3", "7x7", "5x5", "xception", "3x3", "3x3", "5x5",
        ), last_channels=20, num_classes=7, **SMALL,
    ),
    "shufflenet_v1_0.5x_g3_cifar": dict(stage_repeats=(1, 2, 1)),
    "shufflenet_v2_0.5x_cifar": dict(stage_repeats=(1, 2, 1)),
}  # fmt: skip
"""Few units of each kind: enough to show a fault."""
EACH_FAMILY = {zoo.spec(name).family: name for name in reversed(SHORT)}
"""Family → the name of its short network."""
