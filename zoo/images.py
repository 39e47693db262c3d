"""Pictures by path: files, folders of them, and the classes that they show."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weights.pretrained import Preprocessing
from zoo.data import ArrayImages, FileImages, Images
from zoo.data.transforms import center_crop, resize
from zoo.data.trees import Folder, list_folder
from zoo.errors import InputError
from zoo.pictures import SUFFIXES, decode, require_no_strip
from zoo.preprocessing import square
from zoo.recipes import CenterCrop, Resize, Transform
from zoo.recipes.pictures import fixed_size, size_after
from zoo.recipes.transforms import Size

if TYPE_CHECKING:
    from PIL.Image import Image

STDIN = "-"
"""Stands for the paths on standard input, one a line."""


@dataclass(frozen=True, eq=False)
class Pictures(FileImages):
    """Pictures in files of all shapes but strips, as strangers have them."""

    @property
    def folder(self) -> Path:
        """The folder that they are below."""
        return self.tree.path

    def decode(self, data: bytes) -> Image:
        """Return a picture that is no strip."""
        picture = decode(data)
        require_no_strip(picture.size)
        return picture

    def pixels(self, how: Preprocessing, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return some of the pictures as a network sees them, RGB, uint8 (N, crop, crop, 3).

        Raises:
            InputError: one cannot be read.
        """
        numbers = range(len(self))[start:stop]
        return np.stack([square(self.picture(number), how) for number in numbers])


class _Anywhere(Folder):
    """The files that paths lead to."""

    def name(self, file: str) -> str:
        return file


def pictures_at(paths: Sequence[str | Path]) -> Pictures:
    """Return the pictures in files, wherever they are."""
    names = tuple(map(str, paths))
    return Pictures(_Anywhere(Path(), names, ()), names)


def find_pictures(folder: str | Path, most: int | None = None) -> Pictures:
    """Return the pictures in a folder and those below it, sorted by name; hidden ones are skipped.

    Args:
        folder: where to look.
        most: no more than so many, evenly spaced, so that each class keeps its share.

    Raises:
        InputError: there is no such folder, there are no pictures in it, or ``most`` is too small.
    """
    folder = Path(folder)
    if most is not None and most < 1:
        raise InputError(f"max_images (={most}) must be at least 1")
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {problem}")
    tree = list_folder(folder)
    found = [name for name in tree.files if name.lower().endswith(SUFFIXES)]
    if not found:
        raise InputError(f"{folder}: there are no images in it ({', '.join(SUFFIXES)})")
    if most is not None and most < len(found):
        found = [found[i * len(found) // most] for i in range(most)]
    return Pictures(tree, tuple(found))


def collect(inputs: Iterable[str | Path], *, missing: list[str] | None = None) -> Pictures:
    """Return the pictures that are meant by paths.

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
    return pictures_at(found)


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


@dataclass(frozen=True, eq=False)
class Uniform:
    """Pictures that have one size after the transforms, or are refused by name.

    Attributes:
        images: the pictures.
        transforms: what is done to them afterwards; they draw nothing.
        size: of all (width, height) after these.
        like: the name of the one that has it.
        scaled: where it is given, others are scaled to a square of that size instead; it gets their
            numbers.
    """

    images: Images
    transforms: Sequence[Transform]
    size: Size
    like: str = ""
    scaled: set[int] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return what a message calls a picture."""
        return self.images.name(index)

    def picture(self, index: int) -> Image:
        """Return a picture, the middle of it where it is scaled and no square.

        Raises:
            InputError: it cannot be read, or has another size.
        """
        picture = self.images.picture(index)
        size = size_after(self.transforms, picture.size)
        if size == self.size:
            return picture
        if self.scaled is None:
            raise InputError(
                f"{self.name(index)}: is {size[0]} × {size[1]} pixels after the transforms, must "
                f"be {self.size[0]} × {self.size[1]}, as {self.like} is"
            )
        self.scaled.add(index)
        side = self.size[0]
        return center_crop(resize(picture, Resize(size=side)), CenterCrop(size=side))


def uniform(images: Images, transforms: Sequence[Transform], first: int = 0) -> Images:
    """Return pictures that are refused where their size differs from that of the first one."""
    if fixed_size(transforms) is not None or isinstance(images, ArrayImages | Uniform):
        return images
    size = size_after(transforms, images.picture(first).size)
    return Uniform(images, transforms, size, images.name(first))


def read_truth(path: str | Path, pictures: Pictures) -> list[int]:
    """Return the class of each picture from a table, CSV with the columns ``file`` and ``index``.

    Args:
        path: the table. The files in it are below its own folder or that of the pictures.
        pictures: those that are asked for; the table may have more.

    Raises:
        InputError: it cannot be read, or a picture is missing.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        classes = {row["file"]: int(row["index"]) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: must be CSV with the columns file and index, a whole number"
        ) from None
    found = []
    for name in pictures.files:
        beside = os.path.relpath(pictures.folder / name, path.parent).replace(os.sep, "/")
        if name not in classes and beside not in classes:
            raise InputError(f"{path}: has no line for {name}")
        found.append(classes[name] if name in classes else classes[beside])
    return found


def folder_classes(
    pictures: Pictures, num_classes: int, labels: Sequence[str] | None = None
) -> tuple[list[int] | None, str]:
    """Return the class of each picture from the folder that it is in, or None and why not.

    A folder is a class where it has the name or the number of one, or where there are as many of
    them as classes: then they are in the order of their names, as torchvision's ``ImageFolder``
    has it.
    """
    parts = [name.split("/") for name in pictures.files]
    names = sorted({part[0] for part in parts})
    if any(len(part) == 1 for part in parts):
        return None, "the images are in no folders that tell their classes"
    if labels is not None and set(names) <= set(labels):
        index = {name: list(labels).index(name) for name in names}
    elif all(name.isdecimal() and int(name) < num_classes for name in names):
        index = {name: int(name) for name in names}
    elif len(names) == num_classes:
        index = {name: i for i, name in enumerate(names)}
    else:
        return None, f"which of {num_classes} classes the {len(names)} folders are is not known"
    return [index[part[0]] for part in parts], ""
