"""The networks of the catalog that stand for all of them in tests that take seconds a network."""

from __future__ import annotations

import dataclasses

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


def smallest_of_each_kind():
    """Return the names of the networks with the fewest parameters, one for each kind."""
    found = {}
    for name in sorted(zoo.list_models(), key=lambda name: zoo.cost(name).params):
        if zoo.cost(name).params < LARGE:
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
