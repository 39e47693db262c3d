"""The formats by name, and reading and writing by path: the one place that knows them all."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from weights.formats import ckpt, npz, onnx, pth, safetensors
from weights.formats.contents import Contents, Format
from weights.formats.files import read_bytes
from zoo.errors import WeightsError, unknown
from zoo.files import atomic, require_free

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (safetensors.FORMAT, pth.FORMAT, ckpt.FORMAT, onnx.FORMAT, npz.FORMAT)
}

# What parsers of damaged bytes run into, besides the WeightsErrors that they raise themselves.
DAMAGE = (
    ValueError, LookupError, TypeError, OverflowError, RecursionError, MemoryError, EOFError,
    NotImplementedError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read(path: str | Path) -> tuple[str, Contents]:
    """Return the format's name and what the file holds; the bytes decide, not the suffix.

    Raises:
        WeightsError: the file is missing, damaged or of no known format. No code in it is run.
    """
    path = Path(path)
    data = read_bytes(path)
    fitting = [entry for entry in FORMATS.values() if entry.matches(data)]
    if not fitting:
        raise WeightsError(
            f"{path}: of no known format ({', '.join(FORMATS)}); it starts with {bytes(data[:8])!r}"
        )
    try:
        return fitting[0].name, fitting[0].read(data)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise WeightsError(f"{path}: damaged {fitting[0].name} file ({reason})") from None


def format_of(path: str | Path) -> Format:
    """Return the format that a destination's suffix asks for.

    Raises:
        WeightsError: the suffix is of no format.
    """
    name = Path(path).name
    for entry in FORMATS.values():
        if name.endswith(entry.suffixes):
            return entry
    known = ", ".join(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
    raise WeightsError(f"{path}: the suffix must be one of {known}")


def write(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    *,
    format: str | None = None,
    force: bool = False,
    verify: Callable[[Path], None] | None = None,
) -> None:
    """Write arrays to a file in the format of its suffix; an existing one is kept unless ``force``.

    ``verify`` is called with the finished file before it takes its place, and may raise.

    Raises:
        OutputError: the destination exists, or cannot be written.
        WeightsError: the suffix is of no format, or the format does not hold such arrays.
        UnknownNameError: there is no such format.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    entry = FORMATS[format] if format else format_of(path)
    require_free(path, force)
    with atomic(path, force=force, verify=verify) as file:
        entry.write(file, arrays, metadata or {})
