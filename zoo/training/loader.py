"""The images of an epoch, in the order and the parts in which the processes of a run take them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from backends import Trainable
from zoo.data import Split
from zoo.data.batches import batches
from zoo.errors import SpecError, TrainingError, unknown
from zoo.recipes import Transform

Pipeline = Literal["numpy", "native"]
PIPELINES = ("numpy", "native")


def shares(
    order: np.ndarray, batch_size: int, rank: int, world: int, *, drop_last: bool
) -> list[np.ndarray]:
    """Return what one of the processes takes of each batch: a run of it, as `accumulate` does.

    All take as many images, so that the mean of their gradients is the batch's: of a last batch
    that does not divide, up to ``world - 1`` images are left out.
    """
    parts = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    if drop_last and parts and len(parts[-1]) < batch_size:
        parts.pop()
    sizes = [len(part) // world for part in parts]
    return [
        part[rank * size : (rank + 1) * size]
        for part, size in zip(parts, sizes, strict=True)
        if size
    ]


@dataclass(frozen=True)
class Loader:
    """Where batches come from.

    Attributes:
        engine: the backend.
        pipeline: ``"numpy"``, which gives every framework the same images, or the framework's own.
        workers: threads or processes that prepare images.
        seed: of what is drawn.
    """

    engine: Trainable[Any]
    pipeline: Pipeline
    workers: int
    seed: int

    def __post_init__(self) -> None:
        if self.pipeline not in PIPELINES:
            raise unknown("pipeline", self.pipeline, PIPELINES)
        if self.workers < 0:
            raise SpecError(f"workers (={self.workers}) must be at least 0")

    def __call__(
        self,
        split: Split,
        transforms: Sequence[Transform],
        parts: Sequence[np.ndarray],
        epoch: int = 0,
    ) -> Generator[np.ndarray, None, None]:
        """Return the images of each part; all parts but the last have the same length.

        Closing it lets go of the threads or processes that prepare them.
        """
        if not parts:
            return (images for images in list[np.ndarray]())
        order, size = np.concatenate(list(parts)), len(parts[0])
        if self.pipeline == "native":
            return self.engine.batches(
                split.images.picture, transforms, order,
                batch_size=size, seed=self.seed, epoch=epoch, workers=self.workers,
            )  # fmt: skip
        return batches(
            split.images, transforms, order,
            batch_size=size, seed=self.seed, epoch=epoch, workers=self.workers,
        )  # fmt: skip


def require_fit(split: Split, num_classes: int, classes: Sequence[str]) -> None:
    """Raise `TrainingError` unless the data have the classes that the network tells apart."""
    if len(classes) != num_classes:
        raise TrainingError(
            f"the data have {len(classes)} classes, the network {num_classes}: "
            f"--set overrides.num_classes={len(classes)} makes it fit"
        )
    if not len(split):
        raise TrainingError("there are no images to train on")
