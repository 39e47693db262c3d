"""Images that are files: decoded when they are asked for, or once where they are small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Split
from zoo.data.trees import Tree
from zoo.errors import InputError
from zoo.pictures import decode

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE, MAX_BYTES = 128, 1 << 30
"""Pictures of one size are decoded at once where none has a longer side, and all fit into this."""
MAX_NAMED = 10
"""How many of the images that cannot be read a message names."""


@dataclass(frozen=True, eq=False)
class FileImages:
    """Pictures in a folder or an archive; threads and processes may share them.

    Attributes:
        tree: the folder or the archive.
        files: their names in it.
    """

    tree: Tree
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return what a message calls a picture."""
        return self.tree.name(self.files[index])

    def picture(self, index: int) -> Image:
        """Return a picture, RGB, 8 bits a channel.

        Raises:
            InputError: it is missing or cannot be read; the message names it.
        """
        data = self.tree.read(self.files[index])
        try:
            return self.decode(data)
        except InputError as error:
            raise InputError(f"{self.name(index)}: {error}") from None

    def decode(self, data: bytes) -> Image:
        """Return what the bytes of a file show."""
        return decode(data)


def in_memory(split: Split) -> Split:
    """Return a split with its pictures decoded, if they are small and of one size, or as it is.

    Raises:
        InputError: some cannot be read; the message names them.
    """
    return settle(split)[0]


def settle(split: Split, *, skip_corrupt: bool = False) -> tuple[Split, tuple[str, ...]]:
    """Return a split as `in_memory` does, and the names of the images that were left out.

    Args:
        split: any.
        skip_corrupt: try every image, also where they stay files, and leave out those that can
            not be read; without it a large picture is tried when it is asked for.

    Raises:
        InputError: some cannot be read and are not to be skipped, or a class would lose all of
            its images.
    """
    images = split.images
    if not isinstance(images, FileImages):
        return split, ()
    pixels, faults = _decode(images, try_all=skip_corrupt)
    if faults and not skip_corrupt:
        raise InputError(
            f"{images.tree.path}: {len(faults)} of {len(images)} images cannot be read: "
            f"{truncated(list(faults.values()))} (skip_corrupt leaves them out)"
        )
    skipped = tuple(images.name(index) for index in faults)
    if faults:
        kept = np.array([i for i in range(len(images)) if i not in faults], np.int64)
        images = replace(images, files=tuple(images.files[i] for i in kept))
        lost = sorted(set(split.labels.tolist()) - set(split.labels[kept].tolist()))
        if lost:
            raise InputError(
                f"{images.tree.path}: no image can be read of the classes "
                f"{truncated([split.classes[label] for label in lost], ', ')}"
            )
        split = replace(split, images=images, labels=split.labels[kept])
        pixels = None if pixels is None else pixels[kept]
    if pixels is not None:
        split = replace(split, images=ArrayImages(pixels, str(images.tree.path), images.files))
    return split, skipped


def _decode(images: FileImages, *, try_all: bool) -> tuple[np.ndarray | None, dict[int, str]]:
    """Return the pixels of all, or None, and what is wrong with which.

    The first picture that can be read tells whether all are decoded, and one of another size ends
    it. The pixels of an image that cannot be read are anything.
    """
    pixels: np.ndarray | None = None
    faults: dict[int, str] = {}
    small = True
    for index in range(len(images)):
        try:
            picture = images.picture(index)
        except InputError as error:
            faults[index] = str(error)
            continue
        shape = (len(images), picture.height, picture.width, 3)
        if pixels is None and small:
            small = max(picture.size) <= MAX_SIDE and math.prod(shape) <= MAX_BYTES
            pixels = np.empty(shape, np.uint8) if small else None
        if pixels is not None and pixels.shape != shape:
            small, pixels = False, None
        if pixels is not None:
            pixels[index] = np.asarray(picture)
        elif not try_all:
            break
    return pixels, faults


def truncated(texts: Sequence[str], separator: str = "; ") -> str:
    """Return the first of many texts in a row, and how many more there are."""
    more = len(texts) - MAX_NAMED
    rest = f"{separator}and {more} more" if more > 0 else ""
    return separator.join(texts[:MAX_NAMED]) + rest
