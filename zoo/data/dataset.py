"""Labeled images: what every reader of a data set hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


class Images(Protocol):
    """Pictures by number, however they are stored."""

    def __len__(self) -> int:
        """Return how many there are."""

    def picture(self, index: int) -> Image:
        """Return a picture, RGB, 8 bits a channel.

        Raises:
            InputError: it is missing or cannot be read; the message names it.
        """

    def name(self, index: int) -> str:
        """Return what a message calls it: a path, or a file and the place in it."""


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a data set.

    Attributes:
        images: the pictures.
        labels: the class of each, int64 (N,).
        classes: the names of the classes, in the order of their numbers.
    """

    images: Images
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to test with.

    Attributes:
        name: where it came from, as messages and reports call it.
        train: to train on; None where there are none.
        test: to test with, or to validate; None where there are none.
        skipped: the names of images that could not be read, where that was asked for.
    """

    name: str
    train: Split | None
    test: Split | None
    skipped: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        part = self.train or self.test
        return part.classes if part else ()
