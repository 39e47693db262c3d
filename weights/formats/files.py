"""Files read into memory as a whole, with their limits checked."""

from __future__ import annotations

from pathlib import Path

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
