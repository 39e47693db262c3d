"""PyTorch's zip format, written: an OrderedDict of tensors, as `torch.save` lays it out.

The pickle has the opcodes that `torch.save` writes for a state dict, put down by hand; the arrays
are streamed one after the other. The same arrays give the same bytes.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from weights.formats.arrays import metadata_to_json, octets, plain, quoted, utf8
from weights.formats.files import MAX_BYTES
from weights.formats.pth.inert import MAX_KEY
from weights.formats.pth.tensors import DTYPES
from zoo.errors import WeightsError

TOP = "archive"
METADATA = "extra/zoo.json"
"""Where metadata lies in the archive; `torch.load` passes over records it does not know."""
MAX_METADATA = 4 << 20

_ALIGNMENT = 64  # of a record's bytes, as torch.save has it: a memory-mapped array is aligned
_HEADER_SIZE = 30


def write_zip(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays of plain dtypes, and metadata in a record of its own.

    Raises:
        WeightsError: a dtype that is not plain, a name or metadata too long, or too many bytes.
    """
    names = [name for name in arrays if len(name) > MAX_KEY]
    if names:
        raise WeightsError(f"{quoted(names[0])}: a name must have at most {MAX_KEY} characters")
    extra = metadata_to_json(metadata) if metadata else b""
    if len(extra) > MAX_METADATA:
        raise WeightsError(f"metadata (={len(extra)} bytes) must be at most {MAX_METADATA}")
    total = sum(array.nbytes for array in arrays.values())
    if total > MAX_BYTES - (64 << 20):
        raise WeightsError(f"arrays (={total} bytes) must leave the file below {MAX_BYTES}")
    objects = pickled(arrays)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _record(archive, file, "data.pkl", objects)
        _record(archive, file, "byteorder", b"little")
        for index, (name, array) in enumerate(arrays.items()):
            _record(archive, file, f"data/{index}", octets(plain(name, array)))
        _record(archive, file, "version", b"3\n")
        if extra:
            _record(archive, file, METADATA, extra)


def _record(archive: zipfile.ZipFile, file: BinaryIO, name: str, data: bytes | memoryview) -> None:
    entry = zipfile.ZipInfo(f"{TOP}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 0  # else it depends on the system
    entry.file_size = len(data)
    start = file.tell() + _HEADER_SIZE + len(entry.filename) + 4
    padding = -start % _ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    with archive.open(entry, "w") as record:
        record.write(data)


# ── The pickle ───────────────────────────────────────────────────────────────────────────────────

_ORDERED_DICT = "collections OrderedDict"


def pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return data.pkl: an OrderedDict of name → tensor, in protocol 2."""
    out = bytearray(b"\x80\x02")
    memo: dict[str, int] = {}

    def remembered(key: str, opcodes: bytes) -> bytes:
        if key in memo:
            return b"h" + bytes([memo[key]])
        memo[key] = len(memo)
        return opcodes + b"q" + bytes([memo[key]])

    def named(name: str) -> bytes:
        module, attribute = name.rsplit(" ", 1)
        return remembered(name, f"c{module}\n{attribute}\n".encode())

    out += named(_ORDERED_DICT) + b")R("
    for index, (name, array) in enumerate(arrays.items()):
        dtype = DTYPES[_dtype_name(name, array)]
        # The dtypes without a storage class of their own are a newer PyTorch's.
        storage = f"torch {dtype.storage}" if dtype.storage else "torch.storage UntypedStorage"
        version = "v2" if dtype.storage else "v3"
        out += _text(name) + named(f"torch._utils _rebuild_tensor_{version}") + b"(("
        out += remembered("storage", _text("storage")) + named(storage) + _text(str(index))
        out += remembered("cpu", _text("cpu"))
        out += _integer(array.size if dtype.storage else array.nbytes) + b"tQ" + _integer(0)
        out += _tuple(array.shape) + _tuple(_strides(array.shape)) + b"\x89"
        out += named(_ORDERED_DICT) + b")R"
        out += (b"" if dtype.storage else named(f"torch {dtype.name}")) + b"tR"
    return bytes(out + b"u.")


def _dtype_name(name: str, array: np.ndarray) -> str:
    plain(name, np.empty(0, array.dtype))  # the rule and its error
    return str(array.dtype.name)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of an array in C order, counted in elements."""
    strides: list[int] = []
    step = 1
    for dim in reversed(shape):
        strides.insert(0, step)
        step *= max(dim, 1)
    return tuple(strides)


def _text(text: str) -> bytes:
    encoded = utf8(text)
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    if value < 1 << 8:
        return b"K" + struct.pack("<B", value)
    if value < 1 << 16:
        return b"M" + struct.pack("<H", value)
    if value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _tuple(values: tuple[int, ...]) -> bytes:
    items = b"".join(_integer(value) for value in values)
    if len(values) > 3:
        return b"(" + items + b"t"
    return items + (b")", b"\x85", b"\x86", b"\x87")[len(values)]
