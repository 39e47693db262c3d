"""Where networks start from: the same bits as ever, and numbers that float32 can carry."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

import weights
import zoo
from zoo.arch.operators import Add

# As deep as the published one, with an eighth of its channels.
DEEP = zoo.spec(
    "se_shufflenet_v2_164", stem_channels=(8, 8, 16), stage_channels=(44, 84, 172, 340),
    last_channels=256, image_size=64,
)  # fmt: skip
UNITS = 49  # that add what they read

# A seed is a promise across versions.
DIGESTS = {
    "resnet9": "3f512daae8272093a0e4bb91adf00670",
    "shufflenet_v1_0.5x_g3_cifar": "204e5d7e7d7a9ac2e212cb542adcc2d3",
    "shufflenet_v2_0.5x_cifar": "33a12f1fd3e6412a05b5cdee8f3bce86",
    "shufflenet_v2_plus_small": "a7db68dbc13bac931e56d66eb23b5867",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_seed_gives_the_bits_of_the_release(name: str) -> None:
    found = weights.initialize(zoo.spec(name).graph, seed=0)
    data = b"".join(array.tobytes() for array in found.values())
    assert hashlib.sha256(data).hexdigest()[:32] == DIGESTS[name]


def error(found: dict[str, np.ndarray]) -> float:
    """Return how far ONNX Runtime's float32 is from float64 in evaluation mode."""
    x = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    exact = zoo.create(DEEP, backend="numpy", weights=found)(x)
    values = zoo.create(DEEP, backend="onnx", weights=found)(x)
    return float(np.abs(values - exact).max() / np.abs(exact).max())


def test_residuals_start_small_where_there_are_many() -> None:
    graph = DEEP.graph
    found = weights.initialize(graph)
    ends = [n.name.replace(".add", ".expand.bn.weight") for n in graph.nodes if type(n.op) is Add]
    assert len(ends) == UNITS
    for name, parameter in graph.parameters.items():
        if parameter.init == "ones" and parameter.trainable:
            start = 1 / math.sqrt(UNITS) if name in ends else 1.0
            np.testing.assert_array_equal(found[name], np.float32(start))
    assert error(found) <= 5e-6
    # The negative control: they all start at 1.
    for name in ends:
        found[name] = np.ones_like(found[name])
    with np.errstate(over="ignore"):
        assert error(found) > 1e-2


def test_how_many_there_are_is_read_off_the_spec() -> None:
    graph = DEEP.replace(stage_repeats=(2, 3, 3, 2)).graph
    assert weights.initialize(graph)["stage2.1.expand.bn.weight"][0] == np.float32(6**-0.5)
    plain = DEEP.replace(residual=False).graph
    assert {p.scale for p in plain.parameters.values()} == {1.0}
