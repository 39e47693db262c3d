"""Folders of pictures: which there are, their pixels, and the classes that they show."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from weights.pretrained import Preprocessing
from zoo.errors import InputError
from zoo.pictures import SUFFIXES, decode, read_file
from zoo.preprocessing import square


@dataclass(frozen=True)
class Pictures:
    """The pictures in a folder.

    Attributes:
        folder: where they are.
        files: their names below it, with ``/``.
    """

    folder: Path
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def pixels(self, how: Preprocessing, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return some of the pictures as a network sees them, RGB, uint8 (N, crop, crop, 3).

        Raises:
            InputError: one cannot be read.
        """
        return np.stack([read(self.folder / name, how) for name in self.files[start:stop]])


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

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = PurePosixPath(Path(place).relative_to(folder).as_posix())
        found += [
            str(below / name)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        raise InputError(f"{folder}: there are no images in it ({', '.join(SUFFIXES)})")
    found.sort()
    if most is not None and most < len(found):
        found = [found[i * len(found) // most] for i in range(most)]
    return Pictures(folder, tuple(found))


def read(path: Path, how: Preprocessing) -> np.ndarray:
    """Return what a network sees of a picture, RGB, uint8 (crop, crop, 3).

    Raises:
        InputError: it cannot be read.
    """
    data = read_file(path)
    try:
        # Pillow warns of what does not touch the pixels, such as damaged EXIF data.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return square(decode(data), how)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


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
