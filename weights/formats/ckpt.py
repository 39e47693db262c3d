"""MindSpore's checkpoints: protobuf records, read and written without MindSpore.

    Checkpoint {repeated Value value = 1}          Value {string tag = 1; TensorProto tensor = 2}
    TensorProto {repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3}

As mindspore/train/serialization.py (2.10) has it: a large tensor is several records of one tag in a
row, each with the whole shape; a text of ``append_dict`` is a tensor of type ``str``; with
``crc_check`` the file ends in ``crc_num`` and 10 bytes of CRC-32. Metadata are field 1000 of the
Checkpoint, sorted JSON: MindSpore's parser passes over fields that it does not know.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from weights.formats.arrays import (
    metadata_from_json,
    metadata_to_json,
    octets,
    plain,
    quoted,
    require_plain,
    shaped,
    text,
    utf8,
)
from weights.formats.contents import Arrays, Contents, Format
from zoo.errors import WeightsError
from zoo.protobuf import (
    BYTES,
    VARINT,
    bytes_field,
    bytes_head,
    fields,
    integer_field,
    key,
    packed,
    signed,
    varint,
)

CHUNK_BYTES = 512 << 20
"""Bytes of one record's data: MindSpore's SLICE_SIZE (in KiB there)."""

METADATA_FIELD = 1000

TYPES = {
    "Bool": "bool", "Int8": "int8", "Int16": "int16", "Int32": "int32", "Int64": "int64",
    "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64",
    "Float16": "float16", "Float32": "float32", "Float64": "float64", "BFloat16": "bfloat16",
}  # fmt: skip
"""MindSpore's name of a dtype → ours."""
_NAMES = {ours: name for name, ours in TYPES.items()}

UNREAD = {
    "str": "text", "a map": "a map",
    **{t: t for t in ("Int4", "Float8E4M3FN", "Float8E5M2", "HiFloat8", "Complex64", "Complex128")},
}  # fmt: skip
"""What else a value may be → as the note about it says. Any other type is damage."""

_CRC_MARK, _CRC_BYTES = b"crc_num", 10
_CRC_SIZE = len(_CRC_MARK) + _CRC_BYTES

# Field 1 of each message is its own thing: a value, its tag, its dims.
_FIRST, _SECOND, _THIRD = key(1, BYTES), key(2, BYTES), key(3, BYTES)
_DIM = key(1, VARINT)
_METADATA = key(METADATA_FIELD, BYTES)


@dataclass
class _Value:
    """One named value, gathered from all its records."""

    tag: str
    type: str = ""
    dims: tuple[int, ...] = ()
    pieces: list[memoryview] = field(default_factory=list)

    def array(self) -> np.ndarray:
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        # Scalars of old versions say [0], which is an empty array only where there are no data.
        dims = () if self.dims == (0,) and len(data) else self.dims
        return shaped(self.tag, TYPES[self.type], dims, data)


def matches(data: memoryview) -> bool:
    """Return whether the bytes start as a record does: a message, in it a name, then a tensor."""
    try:
        if data[0] != _FIRST:
            return False
        _, start = varint(data, 1)
        if data[start] != _FIRST:
            return False
        size, start = varint(data, start + 1)
        return data[start + size] in (_SECOND, _THIRD)
    except (IndexError, OverflowError, WeightsError):
        return False


def read(data: memoryview) -> Contents:
    """Return what a checkpoint holds; texts and maps are noted, not read."""
    arrays: Arrays = {}
    metadata: dict[str, str] = {}
    notes: list[str] = []
    seen: set[str] = set()
    for value in _values(_without_crc(data), metadata, notes):
        if value.tag in seen:
            raise WeightsError(f"{quoted(value.tag)}: is there twice")
        seen.add(value.tag)
        if value.type in TYPES:
            arrays[value.tag] = value.array()
        elif value.type in UNREAD:
            notes.append(f"value {quoted(value.tag)}: {UNREAD[value.type]}, not read")
        else:
            raise WeightsError(
                f"{quoted(value.tag)}: dtype (={quoted(value.type)}) must be one of "
                f"{', '.join((*TYPES, *UNREAD))}"
            )
    return Contents({"": arrays}, metadata, tuple(notes))


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a checkpoint: without metadata, the bytes that ``mindspore.save_checkpoint`` writes.

    Empty arrays are written too, which MindSpore leaves out; it reads them, one of shape (0,) as a
    scalar.
    """
    if not arrays:
        raise WeightsError("arrays (=0) must be at least 1: an empty checkpoint is an empty file")
    require_plain(arrays)
    for name, array in arrays.items():
        tag = bytes_field(1, utf8(name))
        head = b"".join(integer_field(1, dim) for dim in array.shape)
        head += bytes_field(2, _NAMES[array.dtype.name].encode())
        data = octets(plain(name, array))
        for start in range(0, max(len(data), 1), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            tensor = head + bytes_head(3, len(chunk))
            value = tag + bytes_head(2, len(tensor) + len(chunk)) + tensor
            file.write(bytes_head(1, len(value) + len(chunk)) + value)
            file.write(chunk)
    if metadata:
        payload = metadata_to_json(metadata)
        if payload[-_CRC_SIZE:].startswith(_CRC_MARK):
            payload += b" "  # MindSpore would take the end of the JSON for a checksum
        file.write(bytes_field(METADATA_FIELD, payload))


def _without_crc(data: memoryview) -> memoryview:
    """Return the records; a checksum after them has to be theirs."""
    body, tail = data[:-_CRC_SIZE], bytes(data[-_CRC_SIZE:])
    if not tail.startswith(_CRC_MARK):
        return data
    stated, found = int.from_bytes(tail[-_CRC_BYTES:], "big"), zlib.crc32(body)
    if stated != found:
        raise WeightsError(f"crc32 (={found}) must be {stated}: the file is damaged")
    return body


def _values(data: memoryview, metadata: dict[str, str], notes: list[str]) -> Iterator[_Value]:
    """Yield the values, records of one tag in a row as one; gather metadata on the way.

    Fields that MindSpore does not write are refused, not passed over: a flipped bit in a key would
    otherwise lose a tensor in silence.
    """
    value = _Value("")
    for found, _, payload in fields(data):
        if found == _METADATA:
            known = metadata_from_json(payload)
            if known is None:
                notes.append(f"metadata of {len(payload)} bytes: not ours, not read")
            metadata.update(known or {})
            continue
        if found != _FIRST:
            raise WeightsError(f"field {found >> 3} is none of a MindSpore checkpoint")
        piece = _record(payload)
        if not value.pieces or piece.tag != value.tag:
            if value.pieces:
                yield value
            value = piece
        elif (piece.type, piece.dims) != (value.type, value.dims):
            raise WeightsError(f"{quoted(value.tag)}: its records disagree on dtype or shape")
        else:
            value.pieces += piece.pieces
    if value.pieces:
        yield value


def _record(message: memoryview) -> _Value:
    tag: str | None = None
    value = _Value("")
    for found, _, payload in fields(message):
        if found == _FIRST:
            tag = text(payload, "name")
        elif found == _SECOND:
            _tensor(payload, value)
        elif found == _THIRD:  # from keys to rows: huge embedding tables
            value.type = "a map"
            value.pieces.append(payload)
        else:
            raise WeightsError(f"field {found >> 3} is none of a value")
    if tag is None or not value.pieces:
        raise WeightsError(f"a record has no {'name' if tag is None else 'tensor'}")
    value.tag = tag
    return value


def _tensor(message: memoryview, value: _Value) -> None:
    dims: list[int] = []
    for found, number, payload in fields(message):
        if found == _DIM:
            dims.append(signed(number))
        elif found == _FIRST:
            dims += packed(payload).view(np.int64).tolist()
        elif found == _SECOND:
            value.type = text(payload, "type")
        elif found == _THIRD:
            value.pieces.append(payload)
        else:
            raise WeightsError(f"field {found >> 3} is none of a tensor")
    if not value.type or not value.pieces:
        raise WeightsError(f"a tensor has no {'data' if value.type else 'dtype'}")
    value.dims = tuple(dims)


FORMAT = Format(name="mindspore", suffixes=(".ckpt",), matches=matches, read=read, write=write)
