"""Feature maps by name: what a spec promises is what the backends hand out."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BACKENDS

import backends
import zoo
from zoo.families.registry import aliases
from zoo.proof.measure import relative_maximum

# name → (scope, channels, stride) of what detectors and segmenters use.
MAPS = {
    "shufflenet_v1_0.5x_g3": [("stage2", 120, 8), ("stage3", 240, 16), ("stage4", 480, 32)],
    "shufflenet_v2_0.5x": [("stage2", 48, 8), ("stage3", 96, 16), ("stage4", 192, 32)],
    "shufflenet_v2_0.5x_tiny": [("stage2", 48, 4), ("stage3", 96, 8), ("stage4", 192, 16)],
    "shufflenet_v2_0.5x_cifar": [("stage2", 48, 2), ("stage3", 96, 4), ("stage4", 192, 8)],
    "shufflenet_v2_50": [("stage2", 244, 4), ("stage3", 488, 8), ("stage5", 1952, 32)],
}


@pytest.mark.parametrize("name", MAPS)
def test_channels_and_strides_are_told_by_the_spec(name):
    found = zoo.spec(name).features
    assert next(iter(found)) == "stem"
    for scope, channels, stride in MAPS[name]:
        feature = found[scope]
        assert (feature.name, feature.channels, feature.stride) == (scope, channels, stride)
        assert feature.size == (zoo.spec(name).image_size // stride,) * 2


@pytest.mark.sweep(quick=["shufflenet_v2_0.5x-*"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["shufflenet_v1_0.5x_g3", "shufflenet_v2_0.5x"])
def test_every_backend_hands_them_out(name, backend, rng, graph_mode):
    spec = zoo.spec(name, image_size=64)
    wanted = ["stage2", "stage3", "stage4"]
    x = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    model = zoo.create(spec, backend=backend, outputs=wanted)
    found = backends.load(backend).predict(model, x)
    expected = zoo.create(spec, backend="numpy", outputs=wanted)(x)
    for scope, value, exact in zip(wanted, found, expected, strict=True):
        feature = spec.features[scope]
        assert value.shape == (2, feature.channels, *feature.size)
        assert relative_maximum(value, exact) < 5e-6
    assert relative_maximum(found[0], np.flip(expected[0], 1)) > 1e-2


def test_other_zoos_names():
    for alias, name in aliases().items():
        assert zoo.spec(alias) is zoo.spec(name)
        assert alias not in zoo.list_models()
    assert zoo.spec("shufflenet_v2_x1_0", conventions="torchvision").preset_name == "torchvision"
    assert zoo.spec("shufflenet_v1_g3_10") == zoo.spec("shufflenet_v1_1.0x_g3")
    with pytest.raises(zoo.UnknownNameError, match="did you mean 'shufflenet_v2_x1_5' or"):
        zoo.spec("shufflenet_v2_x1_")


@pytest.mark.exhaustive
def test_dropout_does_not_stand_in_the_way_of_a_proof():
    report = zoo.parity(
        "shufflenet_v2_0.5x", backends=["torch"], level="gradients", image_size=64, dropout=0.2
    )
    assert report.passed, str(report)
