"""Pictures for pipelines; by themselves, because processes that make batches import this file."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from PIL import Image

from zoo.errors import InputError

inherited: list[str] = []
"""What a process put here it finds again in its forks alone."""


class Pictures:
    """Pictures in a list, which no short cut is taken for."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def picture(self, index: int) -> Image.Image:
        return self.pictures[index]

    def name(self, index: int) -> str:
        return f"pictures[{index}]"


class Same(Pictures):
    """One picture as often as one likes."""

    def __init__(self, picture: Image.Image, count: int) -> None:
        super().__init__([picture] * count)


class Broken(Pictures):
    """The third cannot be read."""

    def picture(self, index: int) -> Image.Image:
        if index == 2:
            raise InputError("pictures[2]: cut off")
        return super().picture(index)


class Telling(Pictures):
    """Their first pixel tells how much the process inherited."""

    def picture(self, index: int) -> Image.Image:
        return Image.new("RGB", super().picture(index).size, (len(inherited), 0, 0))


def noise(*size: int, seed: int = 0) -> Image.Image:
    """Return a picture of random bytes, ``size`` being its width and height."""
    pixels = np.random.default_rng((seed, *size)).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(pixels)


def threads_of_batches() -> list[threading.Thread]:
    """Return the threads that prepare batches now."""
    return [t for t in threading.enumerate() if t.name.startswith("zoo-batches")]
