"""What the formats share: bytes to arrays and back, texts and metadata, and their limits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from zoo.errors import WeightsError

PLAIN = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
"""The dtypes that every format can hold and every framework knows."""

MAX_RANK = 32
"""NumPy's own limit."""
MAX_DIM = 2**31 - 1
"""A dimension beyond it is damage; beside a 0 it would pass every other check."""
MAX_SHOWN = 80
"""Characters of a name in an error: a damaged file may have one name of a million characters."""


def shaped(
    name: str, dtype: str, shape: Sequence[int], data: bytes | bytearray | memoryview
) -> np.ndarray:
    """Return a view of ``data`` as an array; its address may be unaligned.

    Args:
        name: of the array, for errors.
        dtype: one of `PLAIN`, or ``"bfloat16"``, which becomes float32 (a copy, exact).
        shape: as the file states it, not checked yet.
        data: little-endian elements in C order.

    Raises:
        WeightsError: the shape is none, or does not fit the data.
    """
    size = nbytes(name, dtype, shape)
    if len(data) != size:
        raise WeightsError(
            f"{quoted(name)}: data (={len(data)} bytes) must be {size} bytes: shape {list(shape)} "
            f"of {dtype}"
        )
    if dtype == "bfloat16":
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(shape)
    if dtype == "bool" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise WeightsError(f"{quoted(name)}: the bytes of bool must be 0 or 1")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def nbytes(name: str, dtype: str, shape: Sequence[int]) -> int:
    """Return the bytes that an array takes in a file, before anything is allocated.

    Raises:
        WeightsError: the shape is one that no array has.
    """
    if len(shape) > MAX_RANK:
        raise WeightsError(f"{quoted(name)}: rank (={len(shape)}) must be at most {MAX_RANK}")
    if any(not 0 <= dim <= MAX_DIM for dim in shape):
        raise WeightsError(
            f"{quoted(name)}: shape (={list(shape)}) must hold numbers from 0 to {MAX_DIM}"
        )
    return math.prod(shape) * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)


def plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return the array as it is written: little-endian, in C order, without a copy where it is.

    Raises:
        WeightsError: the dtype is not one of `PLAIN`.
    """
    require_plain({name: array})
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def require_plain(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `WeightsError` for a name or a dtype that no file holds, before anything is written."""
    for name, array in arrays.items():
        utf8(name)
        if array.dtype.name not in PLAIN:
            raise WeightsError(
                f"{quoted(name)}: dtype (={array.dtype}) must be one of {', '.join(PLAIN)}"
            )


def octets(array: np.ndarray) -> memoryview:
    """Return the bytes of a C-ordered array without a copy."""
    return array.reshape(-1).view(np.uint8).data


def utf8(text: str) -> bytes:
    """Return text as bytes.

    Raises:
        WeightsError: it has half of a surrogate pair, which no file can hold.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise WeightsError(f"{quoted(text)}: must be text that UTF-8 can hold") from None


def text(data: memoryview, what: str) -> str:
    """Return bytes of a file as text.

    Raises:
        WeightsError: they are not UTF-8.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise WeightsError(f"{what} (={bytes(data[:MAX_SHOWN])!r}) must be UTF-8") from None


def quoted(name: str) -> str:
    """Return a name as errors show it: quoted, and cut if it is long."""
    return repr(name if len(name) <= MAX_SHOWN else name[: MAX_SHOWN - 1] + "…")


def metadata_to_json(metadata: Mapping[str, str]) -> bytes:
    """Return metadata as compact JSON, keys sorted, all ASCII."""
    for key, value in metadata.items():
        utf8(key), utf8(value)
    return json.dumps(dict(metadata), sort_keys=True, separators=(",", ":")).encode("ascii")


def metadata_from_json(data: bytes | memoryview) -> dict[str, str] | None:
    """Return metadata that `metadata_to_json` wrote, or None where the bytes are something else."""
    try:
        found = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        return None
    try:
        for key, value in found.items():
            utf8(key), utf8(value)  # "\ud800" is JSON, and no text
    except WeightsError:
        return None
    return found
