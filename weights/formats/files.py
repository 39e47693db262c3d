"""Files as a whole: read into memory with their limits checked, written all or nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo.errors import WeightsError

MAX_BYTES = 4 << 30
"""No network of this kind has weights anywhere near it; a sparse file may claim any size."""


def read_bytes(path: Path) -> memoryview:
    """Return the bytes of a file.

    Raises:
        WeightsError: there is no such file, or it is a folder, empty, too large or unreadable.
    """
    if not path.exists():
        raise WeightsError(f"{path}: no such file")
    if not path.is_file():
        raise WeightsError(f"{path}: is a {'folder' if path.is_dir() else 'device'}, not a file")
    size = path.stat().st_size
    if size == 0:
        raise WeightsError(f"{path}: the file is empty")
    if size > MAX_BYTES:
        raise WeightsError(f"{path}: size (={size} bytes) must be at most {MAX_BYTES}")
    try:
        return memoryview(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None


def require_free(path: Path, force: bool) -> None:
    """Raise `WeightsError` if the destination may not be written: early, before any work is done.

    Args:
        path: the destination.
        force: whether an existing file may be replaced.
    """
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder, not a file")
    if path.exists() and not force:
        raise WeightsError(f"{path}: exists and is kept; force=True (--force) replaces it")
    if not path.parent.is_dir():
        raise WeightsError(f"{path}: the folder {path.parent} does not exist")


@contextmanager
def atomic(path: Path, verify: Callable[[Path], object] | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes its place when the body has ended; a failure leaves the old one.

    The bytes go to a temporary file in the same folder, reach the disk, and are renamed. An old
    file's permissions are kept; where a link leads to it, the link stays.

    Args:
        path: the destination.
        verify: called with the finished temporary file before it is renamed; may raise.

    Raises:
        WeightsError: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        target = path.resolve() if path.is_symlink() else path
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~UMASK
        handle, temporary = tempfile.mkstemp(
            prefix=f".{target.name[:64]}.", suffix=".part", dir=target.parent
        )
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if verify is not None:
            verify(Path(temporary))
        os.chmod(temporary, mode)  # mkstemp's 0600 would surprise everybody else
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _umask()
"""Read once: to read it is to set it, for all threads of the process."""
