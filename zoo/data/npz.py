"""Data sets as arrays in one .npz file: ``x_train``, ``y_train``, ``x_test``, ``y_test``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from weights import formats
from weights.formats import npz
from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Dataset, Split
from zoo.data.files import truncated
from zoo.errors import InputError, WeightsError

NAMES = ("x_train", "y_train", "x_test", "y_test")


def is_npz(path: Path) -> bool:
    """Tell whether a file starts as NumPy's archives do."""
    try:
        with path.open("rb") as file:
            return npz.matches(memoryview(file.read(4096)))
    except OSError:
        return False


def read_npz(path: Path) -> Dataset:
    """Return the images and labels of a file; its classes are named by their numbers.

    Images are uint8 (N, H, W, 3), labels whole numbers (N,) or (N, 1), as Keras has them. The
    training images, or the test images where there are no others, have each class from 0 to the
    last one at least once.

    Raises:
        InputError: the file is damaged, arrays are missing or do not fit each other, or a label
            is out of range.
    """
    try:
        arrays = formats.read(path)[1].entries[""]
    except WeightsError as error:
        raise InputError(str(error)) from None
    pairs = {part: (f"x_{part}", f"y_{part}") for part in ("train", "test")}
    found = {part: pair for part, pair in pairs.items() if any(name in arrays for name in pair)}
    for name in (name for pair in found.values() for name in pair):
        if name not in arrays:
            raise InputError(f"{path}: has no {name}, only {truncated(sorted(arrays), ', ')}")
    if not found:
        raise InputError(
            f"{path}: has neither x_train and y_train nor x_test and y_test; it has: "
            f"{truncated(sorted(arrays), ', ') or 'no arrays'}"
        )
    labels = {part: _labels(path, y, arrays[y]) for part, (_, y) in found.items()}
    classes = _classes(path, *next((found[part][1], labels[part]) for part in found))
    splits = {}
    for part, (x, y) in found.items():
        images = ArrayImages(arrays[x], f"{path}: {x}")
        if len(images) != len(labels[part]):
            raise InputError(
                f"{path}: {x} (={len(images)} images) and {y} (={len(labels[part])} labels) must "
                "be as many"
            )
        wrong = np.flatnonzero(labels[part] >= len(classes))
        if len(wrong):
            raise InputError(
                f"{path}: {y}[{wrong[0]}] (={labels[part][wrong[0]]}) must be from 0 to "
                f"{len(classes) - 1}, as those of {found['train'][1]} are"
            )
        splits[part] = Split(images, labels[part], classes)
    return Dataset(str(path), splits.get("train"), splits.get("test"))


def _labels(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0:
        raise InputError(
            f"{path}: {name} (={array.dtype} {list(array.shape)}) must be whole numbers (N,), at "
            "least one"
        )
    if array.min() < 0:
        index = int(array.argmin())
        raise InputError(f"{path}: {name}[{index}] (={array[index]}) must be at least 0")
    if array.max() >= 1 << 31:
        index = int(array.argmax())
        raise InputError(f"{path}: {name}[{index}] (={array[index]}) is no number of a class")
    return array.astype(np.int64)


def _classes(path: Path, name: str, labels: np.ndarray) -> tuple[str, ...]:
    present = np.unique(labels)
    last = int(present[-1])
    if len(present) != last + 1:
        missing = next(i for i, label in enumerate(present.tolist()) if i != label)
        raise InputError(
            f"{path}: {name} has labels up to {last} and none that is {missing}; classes are "
            "counted from 0, and each has an image"
        )
    return tuple(str(number) for number in range(last + 1))
