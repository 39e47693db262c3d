"""A network of a few layers for tests of trainers, and batches that it can be trained on."""

from __future__ import annotations

import numpy as np

import weights
from zoo.arch import Graph, Node
from zoo.arch.operators import (
    BatchNorm2d,
    ChannelShuffle,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    ReLU,
)
from zoo.arch.windows import Conv2d
from zoo.recipes import Recipe, recipe

CLASSES = 5
NORM = {"norm.weight", "norm.bias"}
BIASES = {"second.bias", "head.bias"}
WEIGHTS = {"first.weight", "second.weight", "head.weight"}


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
    return weights.randomise(graph, 3)


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
