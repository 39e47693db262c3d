"""Where training starts from: a loss near that of guessing, in both modes, for every network."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from catalog_rows import EACH_KIND
from torch.nn import functional as F

import backends
import weights
import zoo
from zoo.data import open_dataset
from zoo.data.batches import targets_of
from zoo.recipes import recipe, values_at

# One a family and form; the others take longer together than is good for each run of the tests.
QUICK = (
    "resnet9", "shufflenet_v1_0.5x_g3", "shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_0.5x_tiny",
    "shufflenet_v2_1.0x", "shufflenet_v2_plus_small",
)  # fmt: skip
SIZE = 64  # every network admits it, and statistics of a batch have values to be made of
ADMITTED = 0.02
BATCH, STEPS = 16, 20


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
        for name in EACH_KIND
    ],
)
def test_the_loss_is_that_of_guessing(name: str) -> None:
    assert off(name, True, "damped") <= ADMITTED
    assert off(name, False, "damped") <= ADMITTED
    # The features of some are small as they are.
    if name.startswith(("shufflenet_v1", "shufflenet_v2_0", "shufflenet_v2_1", "resnet")):
        assert off(name, False, "fan_in") > ADMITTED


def images_of_classes() -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels: real ones where they are, or noise around one image a class."""
    if folder := os.environ.get("ZOO_DATA"):
        train = open_dataset(Path(folder) / "cifar10_exact_subset.npz").train
        assert train is not None
        pixels = np.stack([np.asarray(train.images.picture(i)) for i in range(BATCH * STEPS)])
        return pixels.transpose(0, 3, 1, 2) / 64.0 - 2, train.labels[: BATCH * STEPS]
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, BATCH * STEPS)
    each = rng.standard_normal((10, 3, 32, 32))
    return each[labels] + rng.standard_normal((len(labels), 3, 32, 32)), labels


@pytest.mark.exhaustive
def test_the_first_steps_of_a_recipe() -> None:
    """Of all images: 391 steps an epoch, of which these are the first."""
    images, labels = images_of_classes()
    largest = {}
    for initialization in ("damped", "fan_in"):
        chosen = recipe(
            "cifar10",
            network="shufflenet_v1_0.5x_g3_cifar",
            **{"overrides.initialization": initialization},
        )
        graph = chosen.spec.graph
        trainer = backends.load("torch").trainer(graph, weights.initialize(graph), chosen)
        losses = []
        for step in range(STEPS):
            part = slice(step * BATCH, (step + 1) * BATCH)
            factor, momentum = values_at(chosen.schedule, step, 391 * chosen.epochs, 391)
            targets = targets_of(labels[part], 10, chosen.label_smoothing)
            loss, _ = trainer.step(
                images[part].astype(np.float32), targets,
                lr=chosen.optimizer.lr * factor, momentum=momentum,
            )  # fmt: skip
            losses.append(loss)
        largest[initialization] = max(losses) / math.log(10)
    assert largest["damped"] <= 2 < largest["fan_in"]
