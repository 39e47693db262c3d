"""A network and images small enough that an epoch takes a fraction of a second, and that learn."""

from __future__ import annotations

import numpy as np

from zoo.data import ArrayImages, Dataset, Split
from zoo.recipes import Recipe, recipe

CLASSES = ("crosses", "dots", "stripes")


def tiny_recipe(**changes: object) -> Recipe:
    """Return our recipe for CIFAR-10 with a network of 12 convolutions on 16 x 16 pixels."""
    small = {
        "overrides": {
            "stage_channels": [48, 96, 192], "stage_repeats": [1, 2, 1], "num_classes": 3,
            "image_size": 16,
        },
        "train": [
            {"name": "random_crop", "size": 16, "padding": 2},
            {"name": "random_horizontal_flip"},
            *recipe("cifar10").to_dict()["evaluate"],
        ],
        "batch_size": 32,
        "epochs": 3,
        "optimizer.lr": 0.05,
    }  # fmt: skip
    return recipe("cifar10", **{**small, **changes})


def tiny_images(count: int, seed: int) -> Split:
    """Return noisy images, each with the pattern of its class in a place of its own."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    pixels = draw.integers(0, 120, (count, 16, 16, 3))
    for image, label in zip(pixels, labels, strict=True):
        at = draw.integers(2, 6)
        color = draw.integers(90, 135, 3)
        if label == 0:
            image[at + 4, :] += color
            image[:, at + 4] += color
        elif label == 1:
            image[at::5, at::5] += 2 * color - 90
        else:
            image[:, at % 3 :: 3] += color
    return Split(ArrayImages(pixels.clip(0, 255).astype(np.uint8)), labels, CLASSES)


def tiny_data(train: int = 112, test: int = 48) -> Dataset:
    """Return images to train on, of which no whole number of batches is made, and to test with."""
    return Dataset("patterns", tiny_images(train, 1), tiny_images(test, 2))
