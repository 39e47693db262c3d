"""Where training starts from: a loss near that of guessing, in both modes, for every network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import weights
import zoo

# One a family and form; the others take longer together than is good for each run of the tests.
QUICK = (
    "resnet9", "shufflenet_v1_0.5x_g3", "shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_0.5x_tiny",
    "shufflenet_v2_1.0x", "shufflenet_v2_plus_small",
)  # fmt: skip
SIZE = 64  # every network admits it, and statistics of a batch have values to be made of
ADMITTED = 0.02


def off(name: str, training: bool, initialization: str) -> float:
    """Return how far the loss at initial weights is from that of guessing, as a part of it."""
    spec = zoo.spec(name, initialization=initialization)
    spec = spec.replace(image_size=min(spec.image_size, SIZE))
    model = zoo.create(spec, backend="torch", seed=3).train(training)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((8, spec.in_channels, spec.image_size, spec.image_size))
    with torch.no_grad():
        logits = model(torch.from_numpy(images.astype(np.float32)))
    labels = torch.from_numpy(rng.integers(0, spec.num_classes, len(images)))
    return abs(float(F.cross_entropy(logits, labels)) / math.log(spec.num_classes) - 1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.exhaustive)
        for name in zoo.list_models()
    ],
)
def test_the_loss_is_that_of_guessing(name: str) -> None:
    assert off(name, True, "damped") <= ADMITTED
    assert off(name, False, "damped") <= ADMITTED
    if "v2_plus" not in name:  # whose features are small as they are
        assert off(name, False, "fan_in") > ADMITTED


