"""Whole batches from an array in memory: what crops and flips pick, picked at once.

A crop or a flip says for each row and each column of its result where that comes from. So a
pipeline of them is a table of rows and one of columns for each image, and a batch is one look-up.
The bytes are those of `zoo.data.transforms`, image by image, several times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.draws import uniforms
from zoo.recipes.transforms import (
    CenterCrop,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Transform,
)

_DRAWS = {RandomCrop: 2, RandomHorizontalFlip: 1, RandomVerticalFlip: 1, CenterCrop: 0}
"""How many numbers each draws for an image: as many as in `zoo.data.transforms`."""

_OUTSIDE = -1
"""Of a row or column that comes from a margin of zeros."""


def can_gather(transforms: Sequence[Transform]) -> bool:
    """Return whether transforms, without `Normalize`, only pick pixels."""
    return all(type(step) in _DRAWS for step in transforms)


def gather(
    array: np.ndarray,
    numbers: np.ndarray,
    transforms: Sequence[Transform],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Return transformed images by number: uint8 (N, H, W, 3) -> uint8 (n, h, w, 3).

    Args:
        array: all images.
        numbers: of those in the batch, integers (n,).
        transforms: those that `can_gather` admits.
        seed: of what is drawn.
        epoch: likewise.

    Raises:
        InputError: the images are too small for a crop.
    """
    if not transforms:
        return np.asarray(array[numbers])
    n, (height, width) = len(numbers), array.shape[1:3]
    rows = np.broadcast_to(np.arange(height), (n, height))
    columns = np.broadcast_to(np.arange(width), (n, width))
    drawn = uniforms(seed, epoch, numbers, sum(_DRAWS[type(step)] for step in transforms)).T
    for step in transforms:
        mine, drawn = np.split(drawn, [_DRAWS[type(step)]])
        if isinstance(step, CenterCrop | RandomCrop):
            step.check((columns.shape[1], rows.shape[1]))
            if isinstance(step, RandomCrop):
                rows, columns = (
                    _cut(table, u, step) for table, u in zip((rows, columns), mine, strict=True)
                )
            else:
                rows, columns = _middle(rows, step.size), _middle(columns, step.size)
        elif isinstance(step, RandomHorizontalFlip):
            columns = np.where((mine < step.p).T, columns[:, ::-1], columns)
        elif isinstance(step, RandomVerticalFlip):
            rows = np.where((mine < step.p).T, rows[:, ::-1], rows)
    return _picked(array[numbers], rows, columns)


def _cut(table: np.ndarray, drawn: np.ndarray, step: RandomCrop) -> np.ndarray:
    """Return the rows (or columns) of a random crop, (n, size)."""
    length = table.shape[1]
    start = (drawn * (length + 2 * step.padding - step.size + 1)).astype(np.int64) - step.padding
    at = start[:, None] + np.arange(step.size)
    if step.mode == "reflect":
        at = length - 1 - np.abs(length - 1 - np.abs(at))
    inside = (at >= 0) & (at < length)
    found = np.take_along_axis(table, np.where(inside, at, 0), axis=1)
    return np.where(inside, found, _OUTSIDE)


def _middle(table: np.ndarray, size: int) -> np.ndarray:
    start = round((table.shape[1] - size) / 2)
    return table[:, start : start + size]


def _picked(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    n, height, width = images.shape[:3]
    # Three bytes at once: NumPy looks up whole pixels three times as fast as rows of numbers.
    whole = np.ascontiguousarray(images).view("V3").reshape(-1)
    table = (np.arange(n)[:, None] * height + rows)[:, :, None] * width + columns[:, None, :]
    found = whole.take(table, mode="wrap")  # what -1 picks is overwritten
    made: np.ndarray = found.view(np.uint8).reshape(*table.shape, 3)
    made[rows == _OUTSIDE] = 0
    made.transpose(0, 2, 1, 3)[columns == _OUTSIDE] = 0
    return made
