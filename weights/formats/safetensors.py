"""The safetensors format: the length of a JSON header, the header, the arrays end to end.

Read and written here rather than by the library, which copies every array, hands out no metadata
with bytes, lacks NumPy's bfloat16, and writes metadata in another order in every process. The
library is what the tests compare with: every file that is read here it reads as well, and files of
one dtype are byte for byte its own. https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from weights.formats.arrays import octets, plain, quoted, require_plain, shaped, text, utf8
from weights.formats.contents import Arrays, Contents, Format
from zoo.errors import WeightsError

MAX_HEADER = 100_000_000
"""Bytes of the header: the library's limit."""

TYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in TYPES.items()}
UNREAD = (
    "C64", "F4", "F6_E2M3", "F6_E3M2",
    "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0",
)  # fmt: skip

_METADATA = "__metadata__"
_KEYS = ("dtype", "shape", "data_offsets")


def matches(data: memoryview) -> bool:
    """Return whether the bytes start with a length that fits and the ``{`` of a JSON object."""
    size = int.from_bytes(data[:8], "little")
    return len(data) > 8 and 2 <= size <= len(data) - 8 and data[8] == ord("{")


def read(data: memoryview) -> Contents:
    """Return the arrays in the order of their data, without copying them."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, MAX_HEADER):
        raise WeightsError(
            f"header (={size} bytes) must be at most {max(0, min(len(data) - 8, MAX_HEADER))}"
        )
    header, body = _json(data[8 : 8 + size]), data[8 + size :]
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise WeightsError(f"{_METADATA} must be text by text")
    for word in (*header, *metadata.keys(), *metadata.values()):
        utf8(word)  # "\ud800" is JSON, and no text
    infos = [(name, *_info(name, info)) for name, info in header.items()]
    infos.sort(key=lambda info: info[3:])  # stable: empty arrays stay as the header has them
    arrays: Arrays = {}
    notes: list[str] = []
    at = 0
    for name, dtype, shape, start, stop in infos:
        if start != at or stop < start or stop > len(body):
            raise WeightsError(
                f"{quoted(name)}: data_offsets (={[start, stop]}) must start at {at}, where the "
                f"array before it ends, and stop within {len(body)}"
            )
        at = stop
        if dtype in TYPES:
            arrays[name] = shaped(name, TYPES[dtype], shape, body[start:stop])
        else:
            notes.append(f"{quoted(name)}: {dtype}, not read")
    if at != len(body):
        raise WeightsError(f"data (={len(body)} bytes) must have the {at} bytes of the header")
    return Contents({"": arrays}, metadata, tuple(notes))


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays by size of their elements, largest first, then by name; metadata by key.

    The library's order, where all have one dtype; elements lie at multiples of their size.
    """
    header: dict[str, Any] = {}
    if metadata:
        for word in (*metadata.keys(), *metadata.values()):
            utf8(word)
        header[_METADATA] = dict(sorted(metadata.items()))
    require_plain(arrays)
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    at = 0
    for name in order:
        if name == _METADATA:
            raise WeightsError(f"{name}: is the name of the metadata, an array must have another")
        array = arrays[name]
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded = encoded.ljust(-(-len(encoded) // 8) * 8)
    file.write(len(encoded).to_bytes(8, "little") + encoded)
    for name in order:
        file.write(octets(plain(name, arrays[name])))


def _json(data: memoryview) -> dict[str, Any]:
    try:
        found = json.loads(text(data, "header"), object_pairs_hook=_unique)
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"header must be JSON: {error}") from None
    except RecursionError:
        raise WeightsError("header must be JSON of few levels") from None
    if not isinstance(found, dict):
        raise WeightsError("header must be a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise WeightsError(f"{quoted(name)}: is there twice")
        found[name] = value
    return found


def _info(name: str, info: object) -> tuple[str, list[int], int, int]:
    """Return dtype, shape, start and stop that the header gives for one array."""
    if not isinstance(info, dict) or info.keys() != set(_KEYS):
        raise WeightsError(f"{quoted(name)}: must have {', '.join(_KEYS)}, and no more")
    dtype, shape, offsets = (info[key] for key in _KEYS)
    if dtype not in (*TYPES, *UNREAD):
        raise WeightsError(
            f"{quoted(name)}: dtype (={quoted(str(dtype))}) must be one of "
            f"{', '.join((*TYPES, *UNREAD))}"
        )
    for key, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise WeightsError(f"{quoted(name)}: {key} must be integers from 0")
    if len(offsets) != 2:
        raise WeightsError(f"{quoted(name)}: data_offsets (={len(offsets)} numbers) must be two")
    return dtype, shape, *offsets


FORMAT = Format(
    name="safetensors", suffixes=(".safetensors", ".zoo"), matches=matches, read=read, write=write
)
