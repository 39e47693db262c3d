"""Files that a command writes: refused before any work is done, and never left half-written."""

from __future__ import annotations

import os
from pathlib import Path

from weights.formats.files import atomic
from zoo.errors import WeightsError, ZooError


def require_writable(path: Path, suffix: str) -> None:
    """Raise `ZooError` unless a file can be written here; one that exists will be replaced.

    Args:
        path: the destination.
        suffix: what its name must end in.
    """
    if path.suffix.lower() != suffix:
        raise ZooError(f"{path}: the suffix must be {suffix}")
    if path.is_dir():
        raise ZooError(f"{path}: is a folder, not a file")
    if not path.parent.is_dir():
        raise ZooError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ZooError(f"{path}: the folder {path.parent} can not be written to")


def write(path: Path, contents: bytes) -> None:
    """Write a file that takes its place when it is whole; a failure leaves the old one.

    Raises:
        ZooError: the folder can not be written to, or the disk is full.
    """
    try:
        with atomic(path) as file:
            file.write(contents)
    except WeightsError as error:
        raise ZooError(str(error)) from None
