"""A trained network that can be shown pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.evaluation.pipeline import Pipeline
from zoo.training.run import Run

COLORS = 3

Call = Callable[[np.ndarray], np.ndarray]
"""float32 (N, 3, H, W) -> logits, float32 (N, classes)."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Trained weights and what it takes to show them pictures.

    Attributes:
        name: what messages and reports call them.
        model: the network's name.
        backend: what runs it.
        num_classes: how many logits an image gets.
        classes: the names of the classes, where the weights bring them.
        pipeline: how pictures are prepared.
        image_size: height and width of its images; None where it does not tell.
        batch: the number of images that a call must have; None for any.
        run: the run that the weights come from, if they do.
        start: builds the network.
    """

    name: str
    model: str
    backend: str
    num_classes: int
    classes: tuple[str, ...] | None
    pipeline: Pipeline
    image_size: int | None
    batch: int | None = None
    run: Run | None = None
    start: Callable[[], Call]


def require_colors(name: str, in_channels: int) -> None:
    """Raise `InputError` unless a network takes pictures in color, which is how they are read."""
    if in_channels != COLORS:
        raise InputError(
            f"{name}: in_channels (={in_channels}) must be {COLORS}: images are read in color"
        )
