"""NumPy's archives: a zip of .npy files, stored or deflated, read without `numpy.load`.

`numpy.load` evaluates headers, allocates what a header claims and inflates without end. Here the
directory is read by `zipfile` and headers by a regular expression, and a member's size has to fit
its header before it is inflated. Metadata are the zip's comment, sorted JSON, which NumPy ignores.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from weights.formats.arrays import (
    PLAIN,
    metadata_from_json,
    metadata_to_json,
    nbytes,
    octets,
    plain,
    quoted,
    require_plain,
    shaped,
    utf8,
)
from weights.formats.contents import Arrays, Contents, Format
from zoo.errors import WeightsError

FREE_BYTES, MAX_RATIO = 64 << 20, 32
"""All members together may inflate to FREE_BYTES + MAX_RATIO × the file's size."""
MAX_HEADER = 4096
"""Bytes of a .npy header: 32 dimensions take some 700."""
MAX_COMMENT = 65535
"""Bytes of a zip's comment, of a name as well."""

_MAGIC = b"\x93NUMPY"
_LOCAL = struct.Struct("<4s22xHH")  # a member's own header: signature, sizes of name and extra
_HEADER = re.compile(
    r"\{'descr': (?P<descr>.+), 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]+, ?)*[0-9]*)\),? ?\} *\n?"
)
# "<f4" → "float32"; text, dates, complex numbers and raw bytes are noted
_DTYPES = {np.dtype(name).newbyteorder("<").str: name for name in PLAIN}
_DTYPES |= {np.dtype(name).newbyteorder(">").str: name for name in PLAIN}
_UNREAD = re.compile(r"'[<>|][USVcmM][0-9]*(\[[a-z0-9]+\])?'")


@dataclass(frozen=True)
class _Header:
    descr: str
    fortran: bool
    shape: tuple[int, ...]
    size: int  # of the header itself


def matches(data: memoryview) -> bool:
    """Return whether the bytes are a zip whose first member is a .npy file, or that is empty."""
    if bytes(data[:4]) == b"PK\x05\x06":
        return True
    if bytes(data[:4]) != b"PK\x03\x04" or len(data) < _LOCAL.size:
        return False
    _, name_size, _ = _LOCAL.unpack_from(data)
    return bytes(data[_LOCAL.size : _LOCAL.size + name_size]).endswith(b".npy")


def read(data: memoryview) -> Contents:
    """Return the arrays of an archive; stored ones share its memory."""
    members, comment = _directory(data)
    inflated, limit = sum(info.file_size for info in members), FREE_BYTES + MAX_RATIO * len(data)
    if inflated > limit:
        raise WeightsError(
            f"members (={inflated} bytes inflated) must have at most {limit}: {FREE_BYTES >> 20} "
            f"MiB + {MAX_RATIO} × the file's {len(data)} bytes"
        )
    arrays: Arrays = {}
    notes: list[str] = []
    for info in members:
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            notes.append(f"member {quoted(name)}: not an array, not read")
        elif name in arrays:
            raise WeightsError(f"{quoted(name)}: is there twice")
        else:
            array = _array(name, info, _stored(name, info, data))
            if isinstance(array, str):
                notes.append(array)
            else:
                arrays[name] = array
    metadata = metadata_from_json(comment) if comment else {}
    if metadata is None:
        notes.append(f"a comment of {len(comment)} bytes, not read")
    return Contents({"": arrays}, metadata or {}, tuple(notes))


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write an archive of stored members as `numpy.savez` does, with the time left out."""
    comment = metadata_to_json(metadata) if metadata else b""
    if len(comment) > MAX_COMMENT:
        raise WeightsError(f"metadata (={len(comment)} bytes) must be at most {MAX_COMMENT} in npz")
    require_plain(arrays)
    for name in arrays:
        if "\0" in name or len(utf8(name)) > MAX_COMMENT - len(".npy"):
            raise WeightsError(f"{quoted(name)}: a zip cannot hold this name")
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = comment
        for name, array in arrays.items():
            head = _npy_head(array)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # or it would tell on which system the file was written
            info.file_size = len(head) + array.nbytes  # tells zipfile whether zip64 is needed
            with archive.open(info, "w") as member:
                member.write(head)
                member.write(octets(plain(name, array)))


def _directory(data: memoryview) -> tuple[list[zipfile.ZipInfo], bytes]:
    """Return the members in the zip's directory, which ends the file, and its comment."""
    # BytesIO shares a whole bytes object and copies anything else.
    whole = isinstance(data.obj, bytes) and len(data.obj) == len(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data.obj if whole else data)) as archive:
            members, comment = archive.infolist(), archive.comment
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise WeightsError(
            f"the zip's directory, at the end of the file, is cut off or damaged: {error}"
        ) from None
    end = len(data) - len(comment)  # of the record before the comment, whose last field is its size
    size = int.from_bytes(data[end - 2 : end], "little")
    if size != len(comment):
        raise WeightsError(f"comment (={len(comment)} bytes) must be {size}, and end the file")
    return members, comment


def _stored(name: str, info: zipfile.ZipInfo, data: memoryview) -> memoryview:
    """Return a member's bytes as the file has them.

    Raises:
        WeightsError: it is encrypted, packed otherwise than by deflate, or not where it should be.
    """
    if info.flag_bits & 1:
        raise WeightsError(f"{quoted(name)}: is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(
            f"{quoted(name)}: compression method (={info.compress_type}) must be 0 (stored) or 8 "
            "(deflate)"
        )
    start = info.header_offset
    if not 0 <= start <= len(data) - _LOCAL.size:
        raise WeightsError(f"{quoted(name)}: offset (={start}) must be inside the file")
    signature, name_size, extra_size = _LOCAL.unpack_from(data, start)
    start += _LOCAL.size + name_size + extra_size
    stored = data[start : start + info.compress_size]
    if signature != b"PK\x03\x04" or len(stored) != info.compress_size:
        raise WeightsError(f"{quoted(name)}: the file has no such member at offset {start}")
    return stored


def _array(name: str, info: zipfile.ZipInfo, stored: memoryview) -> np.ndarray | str:
    """Return a member's array, or the note on one of a dtype that is not read."""
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    start = memoryview(_inflated(name, stored, MAX_HEADER)) if deflated else stored
    header = _header(name, start[:MAX_HEADER])
    dtype = _DTYPES.get(header.descr.strip("'"))
    if dtype is None:
        if not _UNREAD.fullmatch(header.descr):
            raise WeightsError(_refusal(name, header.descr))
        return f"{quoted(name)}: dtype {header.descr}, not read"
    shape = header.shape[::-1] if header.fortran else header.shape
    size = header.size + nbytes(name, dtype, shape)
    if info.file_size != size:
        raise WeightsError(
            f"{quoted(name)}: member (={info.file_size} bytes) must have {size}: a header of "
            f"{header.size} and shape {list(header.shape)} of {dtype}"
        )
    body = stored
    if deflated:
        body = memoryview(_inflated(name, stored, size))
    if len(body) != size or zlib.crc32(body) != info.CRC:
        raise WeightsError(f"{quoted(name)}: its checksum is wrong: the file is damaged")
    array = shaped(name, dtype, shape, body[header.size :])
    array = array.byteswap() if header.descr.startswith("'>") else array
    return array.T if header.fortran else array


def _inflated(name: str, stored: memoryview, size: int) -> bytes:
    """Return so many bytes of what a member inflates to, or fewer where there are fewer."""
    try:
        return zlib.decompressobj(-15).decompress(stored, size)
    except zlib.error as error:
        raise WeightsError(f"{quoted(name)}: cannot be inflated: {error}") from None


def _header(name: str, start: memoryview) -> _Header:
    """Return what the start of a .npy file says."""
    if start[:6] != _MAGIC or len(start) < 12 or start[6] not in (1, 2, 3):
        raise WeightsError(f"{quoted(name)}: is no .npy file of version 1, 2 or 3")
    before = 10 if start[6] == 1 else 12
    size = before + int.from_bytes(start[8:before], "little")
    if size > MAX_HEADER:
        raise WeightsError(f"{quoted(name)}: header (={size} bytes) must be at most {MAX_HEADER}")
    text = bytes(start[before:size]).decode("utf-8" if start[6] == 3 else "latin-1")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise WeightsError(f"{quoted(name)}: header (={quoted(text)}) is none that NumPy writes")
    shape = tuple(int(dim) for dim in found["shape"].split(",") if dim.strip())
    return _Header(found["descr"], found["fortran"] == "True", shape, size)


def _refusal(name: str, descr: str) -> str:
    if descr == "'|O'":
        return f"{quoted(name)}: holds Python objects, which are not read"
    if descr.startswith("["):
        return f"{quoted(name)}: has named fields (a structured dtype), which are not read"
    return f"{quoted(name)}: dtype (={descr[:80]}) must be one of {', '.join(PLAIN)}"


def _npy_head(array: np.ndarray) -> bytes:
    """Return the header of a .npy file, padded to 64 bytes: version 1.0, and 3.0 is not needed."""
    descr = array.dtype.newbyteorder("<").str
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {array.shape}, }}"
    size = -(-(len(_MAGIC) + 4 + len(text) + 1) // 64) * 64
    text = text.ljust(size - len(_MAGIC) - 4 - 1) + "\n"
    return _MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


FORMAT = Format(name="npz", suffixes=(".npz",), matches=matches, read=read, write=write)
