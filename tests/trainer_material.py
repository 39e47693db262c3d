"""A network of a few layers for tests of trainers, batches to train it on, and comparisons."""

from __future__ import annotations

import numpy as np

import weights
from zoo.arch import Graph, Node
from zoo.arch.operators import (
    BatchNorm2d,
    ChannelShuffle,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    ReLU,
)
from zoo.recipes import Recipe, recipe

STEPS = 4
RATES = (0.05, 0.1, 0.2, 0.1)
CYCLE = (0.95, 0.9, 0.85, 0.9)

CLASSES = 5

TOLERANCE = 5e-5
"""Of the distance that a parameter has moved; the greatest that was seen is 1.3e-5."""

SGD_PLAIN = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
MOMENTUM = SGD_PLAIN | {"momentum": 0.9}
NESTEROV = MOMENTUM | {"nesterov": True}
ADAM = {"name": "adam", "lr": 0.1, "betas": [0.9, 0.99], "eps": 1e-3}

# What a restored trainer must have all of: momenta of the steps, their number, parts, draws.
RESTORED = {
    "nesterov": (NESTEROV | {"weight_decay": 0.05}, {"accumulate": 2}, CYCLE),
    "adam": (ADAM, {"clip_norm": 0.1}, CYCLE),
}

TOGETHER = {
    "nesterov": (NESTEROV | {"weight_decay": 0.05}, {"clip_norm": 0.1}),
    "adam": (ADAM, {"accumulate": 2}),
}


def small_network(*, norm: bool = True, dropout: float = 0.0) -> Graph:
    """Return a network that has each kind of parameter, and none whose gradient is only noise."""
    nodes = [
        Node("first", Conv2d(
            in_channels=3, out_channels=8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1),
        ), ("input",)),
        Node("norm", BatchNorm2d(num_features=8, eps=1e-5, momentum=0.1), ("first",)),
        Node("relu", ReLU(), ("norm" if norm else "first",)),
        Node("second", Conv2d(
            in_channels=8, out_channels=12, kernel_size=(1, 1), stride=(1, 1),
            padding=(0, 0, 0, 0), groups=2, bias=True,
        ), ("relu",)),
        Node("shuffle", ChannelShuffle(groups=2, order="gn"), ("second",)),
        Node("gate", ReLU(), ("shuffle",)),
        Node("dropout", Dropout(p=dropout), ("gate",)),
        Node("pool", GlobalAvgPool2d(), ("dropout" if dropout else "gate",)),
        Node("flat", Flatten(), ("pool",)),
        Node("head", Linear(in_features=12, out_features=CLASSES, bias=True), ("flat",)),
    ]  # fmt: skip
    return Graph(3, (8, 8), tuple(nodes), ("head",)).select(["head"])


def small_weights(graph: Graph) -> dict[str, np.ndarray]:
    """Return weights with random statistics of the batch norm."""
    return weights.randomize(graph, 3)


def small_batches(steps: int, size: int = 12) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images, and targets that are spread over the classes."""
    draw = np.random.default_rng(7)
    found = []
    for _ in range(steps):
        images = draw.standard_normal((size, 3, 8, 8)).astype(np.float32)
        targets = draw.random((size, CLASSES)) ** 4
        found.append((images, (targets / targets.sum(1, keepdims=True)).astype(np.float32)))
    return found


def small_recipe(optimizer: dict[str, object], **changes: object) -> Recipe:
    """Return a recipe; what it says of network and data plays no part in a trainer."""
    return recipe("cifar10", batch_size=12, optimizer=optimizer, **changes)


def steps_of(trainer, batches, momenta=None, start=0):
    """Take a step a batch; return what the steps return."""
    found = []
    for i, (images, targets) in enumerate(batches, start):
        momentum = None if momenta is None else momenta[i]
        found.append(trainer.step(images, targets, lr=RATES[i], momentum=momentum))
    return found


def farthest(found, expected, start):
    """Return the greatest difference of any array, as a share of the distance it has moved."""
    return max(
        np.linalg.norm(found[name] - expected[name]) / np.linalg.norm(expected[name] - start[name])
        for name in start
    )


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)
