"""Mean and deviation of a data set's colors, which its pictures are normalized with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Images, Split
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.recipes.transforms import Color

_BLOCK = 1 << 22  # bytes counted at a time: NumPy makes eight of each


def mean_and_std(split: Split, most: int | None = None) -> tuple[Color, Color]:
    """Return the mean and the standard deviation of each channel, over all pixels, in 0..1.

    Pixels are counted by value, so that both are exact but for the last rounding. Each pixel
    counts alike: a larger picture has more of them.

    Args:
        split: any.
        most: no more than so many images, evenly spaced, so that each class keeps its share.

    Returns:
        (mean, std), RGB; the deviation is that of the pixels themselves (divided by N).

    Raises:
        InputError: there are no images, ``most`` is too small, or an image cannot be read.
    """
    if most is not None and most < 1:
        raise InputError(f"most (={most}) must be at least 1")
    total = len(split)
    if total == 0:
        raise InputError("a split without images has no mean")
    count = total if most is None else min(most, total)
    counts = _histogram(split.images, [i * total // count for i in range(count)])
    values = range(256)
    means, deviations = [], []
    for row in counts.tolist():  # Python's integers, which have no largest
        pixels = sum(row)
        first = sum(value * times for value, times in zip(values, row, strict=True))
        second = sum(value * value * times for value, times in zip(values, row, strict=True))
        means.append(first / (pixels * 255))
        deviations.append(math.sqrt(pixels * second - first * first) / (pixels * 255))
    red, green, blue = means
    of_red, of_green, of_blue = deviations
    return (red, green, blue), (of_red, of_green, of_blue)


def _histogram(images: Images, indices: list[int]) -> np.ndarray:
    """Return how often each channel has each value, int64 (3, 256)."""
    counts = np.zeros((3, 256), np.int64)
    if not isinstance(images, ArrayImages):
        for index in indices:
            counts += np.reshape(images.picture(index).histogram(), (3, 256))
        return counts
    each = max(1, _BLOCK // images.pixels[0].size)
    for start in range(0, len(indices), each):
        block = images.pixels[indices[start : start + each]]
        for channel in range(3):
            counts[channel] += np.bincount(block[..., channel].reshape(-1), minlength=256)
    return counts
