"""Pictures by path: files, folders, and lists of them from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.data import Images
from zoo.data.arrays import ArrayImages
from zoo.data.files import FileImages
from zoo.data.trees import Folder
from zoo.errors import InputError
from zoo.images import find_pictures
from zoo.preprocessing import LONGEST
from zoo.recipes import Transform
from zoo.recipes.pictures import Size, resized
from zoo.recipes.transforms import CenterCrop, Resize

if TYPE_CHECKING:
    from PIL.Image import Image

STDIN = "-"
"""Stands for the paths on standard input, one a line."""


@dataclass(frozen=True, eq=False)
class PathImages:
    """Pictures in files, wherever they are."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path as it was given."""
        return str(self.paths[index])

    def picture(self, index: int) -> Image:
        """Return a picture, RGB, 8 bits a channel.

        Raises:
            InputError: it is missing, cannot be read, or is a strip.
        """
        path = self.paths[index]
        picture = FileImages(Folder(path.parent, (path.name,), ()), (path.name,)).picture(0)
        short, long = sorted(picture.size)
        if long > LONGEST * short:  # scaled up, it would fill the memory
            raise InputError(
                f"{path}: sides (={long} and {short} pixels) must be at most {LONGEST} to 1"
            )
        return picture


@dataclass(frozen=True, eq=False)
class ImageView:
    """Base: other pictures, looked at on their way to the transforms.

    Attributes:
        images: the pictures.
        transforms: what is done to them afterwards.
    """

    images: Images
    transforms: Sequence[Transform]

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return what a message calls a picture."""
        return self.images.name(index)


@dataclass(frozen=True, eq=False)
class Uniform(ImageView):
    """Pictures that have one size after the transforms, or are refused by name.

    Attributes:
        size: of all (width, height) after the transforms.
        like: the name of the one that has it.
    """

    size: Size
    like: str

    def picture(self, index: int) -> Image:
        """Return a picture.

        Raises:
            InputError: it cannot be read, or has another size.
        """
        picture = self.images.picture(index)
        size = size_after(self.transforms, picture.size)
        if size != self.size:
            raise InputError(
                f"{self.name(index)}: is {size[0]} × {size[1]} pixels after the transforms, must "
                f"be {self.size[0]} × {self.size[1]}, as {self.like} is"
            )
        return picture


def uniform(images: Images, transforms: Sequence[Transform], first: int = 0) -> Images:
    """Return pictures that are refused where their size differs from that of the first one."""
    if fixed_size(transforms) is not None or isinstance(images, ArrayImages):
        return images
    size = size_after(transforms, images.picture(first).size)
    return Uniform(images, transforms, size, images.name(first))


def fixed_size(transforms: Sequence[Transform]) -> int | None:
    """Return the side of what transforms make of any picture; None where that depends on it."""
    side = None
    for step in transforms:
        if isinstance(step, CenterCrop):
            side = step.size
        elif isinstance(step, Resize):
            # Of a square, the shorter side is both.
            side = step.size if step.square or side is not None else None
    return side


def size_after(transforms: Sequence[Transform], size: Size) -> Size:
    """Return the size of a picture after transforms that draw nothing."""
    for step in transforms:
        if isinstance(step, Resize):
            size = resized(step, size)
        elif isinstance(step, CenterCrop):
            size = (step.size, step.size)
    return size


def collect(inputs: Iterable[str | Path], *, missing: list[str] | None = None) -> tuple[Path, ...]:
    """Return the files that are meant by paths.

    Args:
        inputs: files; folders, of which all images are taken, also those in folders below; and
            ``"-"`` for standard input, a path a line.
        missing: gets the messages on what does not exist, which is then left out.

    Raises:
        InputError: a path does not exist, a folder holds no images, or nothing was given.
    """
    found: list[Path] = []
    for path in _listed(inputs):
        if path.is_dir():
            found += [path / name for name in find_pictures(path).files]
        elif path.exists() or missing is None:
            if not path.exists():
                raise InputError(f"{path}: no such file or folder")
            found.append(path)
        else:
            missing.append(f"{path}: no such file or folder")
    if not found:
        raise InputError("; ".join(missing or ["there are no images: give files or folders"]))
    return tuple(found)


def _listed(inputs: Iterable[str | Path]) -> Iterable[Path]:
    for given in inputs:
        if str(given) == STDIN:
            lines = (line.rstrip("\r\n") for line in sys.stdin)
            yield from (Path(line) for line in lines if line.strip())
        else:
            yield Path(given)


def readable(images: Images) -> tuple[np.ndarray, list[str]]:
    """Try every picture; return the numbers of those that can be read, and what is wrong otherwise.

    Returns:
        Numbers, int64 (n,), in order; and a message for each other picture, which names it.
    """
    numbers, faults = [], []
    for index in range(len(images)):
        try:
            images.picture(index)
        except InputError as error:
            faults.append(str(error))
        else:
            numbers.append(index)
    return np.array(numbers, np.int64), faults
