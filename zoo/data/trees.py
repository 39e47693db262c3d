"""Files by name, read when they are asked for: what a folder and an archive have in common.

A tree keeps no file open: it may be read from several threads, inherited by a fork and sent to
other processes.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import InputError
from zoo.pictures import read_file


@dataclass(frozen=True, eq=False)
class Tree(ABC):
    """Files below one place. Hidden ones (``.name``, ``__MACOSX``) are left out.

    Attributes:
        path: the folder or the archive.
        files: names below it, with ``/``, sorted.
        folders: those that hold a file, and those that hold nothing; sorted.
    """

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]

    @abstractmethod
    def read(self, file: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            InputError: it cannot be read; the message names it.
        """

    def name(self, file: str) -> str:
        """Return what a message calls a file or folder; ``""`` is the tree itself."""
        return f"{self.path}/{file}" if file else str(self.path)

    def below(self, root: str) -> list[str]:
        """Return the names of the files below a folder, ``""`` for all, with its own name."""
        return [file for file in self.files if file.startswith(prefix(root))]

    def children(self, root: str) -> list[str]:
        """Return the names of the folders right below a folder, sorted."""
        start = prefix(root)
        inside = (name[len(start) :] for name in self.folders if name.startswith(start))
        return sorted({name.partition("/")[0] for name in inside} - {""})


def prefix(root: str) -> str:
    """Return what the names of the files below a folder start with."""
    return f"{root}/" if root else ""


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is left out by its name."""
    return name.startswith(".") or name == "__MACOSX"


def sort_names(
    files: Iterable[str], empty: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return files, and folders: those of the files and those that are empty."""
    files = tuple(sorted(files))
    folders = {file.rpartition("/")[0] for file in files} - {""}
    return files, tuple(sorted(folders.union(empty)))


class Folder(Tree):
    """A folder on the disk."""

    def read(self, file: str) -> bytes:
        """Return the bytes of a file."""
        return read_file(self.path / file)


def list_folder(path: Path) -> Folder:
    """Return the files below a folder; links are followed.

    Raises:
        InputError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None

    files, empty = [], []
    for place, folders, names in os.walk(path, onerror=refuse, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not is_hidden(name) and not _leads_back(os.path.join(place, name))
        ]
        below = Path(place).relative_to(path).as_posix()
        seen = [name for name in names if not is_hidden(name)]
        if below != "." and not seen:
            empty.append(below)
        files += [name if below == "." else f"{below}/{name}" for name in seen]
    return Folder(path, *sort_names(files, empty))


def _leads_back(folder: str) -> bool:
    """Tell whether a folder is a link to one that it is in: following it would never end."""
    if not os.path.islink(folder):
        return False
    return Path(folder).parent.resolve().is_relative_to(Path(folder).resolve())
