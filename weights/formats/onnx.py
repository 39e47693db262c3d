"""ONNX models: their initializers, read and written without the onnx package.

Only what holds weights is looked at, by the numbers of onnx.proto: ModelProto.graph = 7,
GraphProto.initializer = 5, TensorProto.raw_data = 9 and its five typed alternatives. Nodes are
counted and passed over. Written are models of initializers alone, which ``onnx.checker`` accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from weights.formats.arrays import octets, plain, quoted, require_plain, shaped, text, utf8
from weights.formats.contents import Arrays, Contents, Format
from zoo.errors import WeightsError
from zoo.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
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

IR_VERSION, OPSET = 8, 17
MAX_BYTES = (2 << 30) - 1
"""Protocol Buffers refuses larger messages, and so does everything that reads ONNX."""

TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
"""TensorProto.DataType → dtype."""
_NUMBERS = {dtype: number for number, dtype in TYPES.items()}

UNREAD = {
    8: "text", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
    24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip

# Fields of a TensorProto, and the ways in which each may be stored: one by one, or packed.
_FLOATS, _INT32S, _INT64S, _DOUBLES, _UINT64S = 4, 5, 7, 10, 11
_ELSEWHERE, _EXTERNAL = (3, 13), 1  # segment, external_data; data_location's value
_STORED = {
    1: (VARINT, BYTES), 2: (VARINT,), 8: (BYTES,), 9: (BYTES,), 14: (VARINT,),
    _FLOATS: (FIXED32, BYTES), _DOUBLES: (FIXED64, BYTES),
    _INT32S: (VARINT, BYTES), _INT64S: (VARINT, BYTES), _UINT64S: (VARINT, BYTES),
}  # fmt: skip
_ELEMENTS = (_FLOATS, _INT32S, _INT64S, _DOUBLES, _UINT64S)
# Where the elements of a dtype are if not in raw_data; of those not named here, in int32_data.
_FIELD = {
    "float32": _FLOATS, "float64": _DOUBLES, "int64": _INT64S, "uint32": _UINT64S,
    "uint64": _UINT64S,
}  # fmt: skip

# ModelProto: number → how it is stored.
_MODEL = {
    1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES,
    20: BYTES, 25: BYTES, 26: BYTES,
}  # fmt: skip
_GRAPH, _METADATA = key(7, BYTES), key(14, BYTES)
_NODE, _INITIALIZER, _SPARSE = key(1, BYTES), key(5, BYTES), key(15, BYTES)


@dataclass
class _Tensor:
    """The fields of one TensorProto."""

    name: str = ""
    type: int = 0
    dims: list[int] = field(default_factory=list)
    raw: memoryview | None = None
    typed: dict[int, bytearray] = field(default_factory=dict)
    elsewhere: bool = False

    def array(self) -> np.ndarray:
        dtype = TYPES[self.type]
        if self.raw is not None and not self.typed:
            return shaped(self.name, dtype, self.dims, self.raw)
        number = _FIELD.get(dtype, _INT32S)
        if self.raw is not None or self.typed.keys() - {number}:
            raise WeightsError(f"{quoted(self.name)}: its data are in the wrong field, or in two")
        data = self.typed.get(number, bytearray())
        if VARINT not in _STORED[number]:
            return shaped(self.name, dtype, self.dims, data)
        # Integers have 64 bits here, and the low ones are the element; of a float, its own bits.
        bits = {"bool": "uint8", "float16": "uint16", "bfloat16": "uint16"}.get(dtype, dtype)
        values = np.frombuffer(data, np.uint64).astype(bits)
        return shaped(self.name, dtype, self.dims, octets(values))


def matches(data: memoryview) -> bool:
    """Return whether the bytes start with ir_version and go on with fields of a ModelProto.

    The graph is one field, so these are a few steps. A cut file matches: it is a damaged model.
    """
    if len(data) < 2 or data[0] != key(1, VARINT):
        return False
    at = 0
    try:
        for _ in range(64):
            if at >= len(data):
                break
            found, at = varint(data, at)
            if _MODEL.get(found >> 3) != found & 7:
                return False
            value, at = varint(data, at)
            at += value if found & 7 == BYTES else 0
    except WeightsError:
        return False
    return True


def read(data: memoryview) -> Contents:
    """Return the initializers of a model's graph; nodes and what else there is are noted."""
    arrays: Arrays = {}
    metadata: dict[str, str] = {}
    notes: list[str] = []
    graphs = nodes = sparse = 0
    for found, _, payload in fields(data):
        if found == _METADATA:
            name, value = _property(payload)
            metadata[name] = value
        if found != _GRAPH:
            continue
        graphs += 1
        for inner, _, part in fields(payload):
            nodes += inner == _NODE
            sparse += inner == _SPARSE
            if inner != _INITIALIZER:
                continue
            tensor = _tensor(part)
            if tensor.name in arrays:
                raise WeightsError(f"{quoted(tensor.name)}: is there twice")
            if tensor.type in UNREAD:
                notes.append(f"initializer {quoted(tensor.name)}: {UNREAD[tensor.type]}, not read")
            else:
                arrays[tensor.name] = tensor.array()
    if not graphs:
        raise WeightsError("has no graph: the file is cut short")
    if nodes:
        notes.append(f"a graph of {nodes} nodes, not read")
    if sparse:
        notes.append(f"{sparse} sparse initializers, not read")
    return Contents({"": arrays}, metadata, tuple(notes))


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a model that has initializers only; the data are not copied."""
    require_plain(arrays)
    heads = {name: _head(name, array) for name, array in arrays.items()}
    graph_name = bytes_field(2, b"weights")
    size = len(graph_name)
    for name, head in heads.items():
        inner = len(head) + arrays[name].nbytes
        size += len(bytes_head(5, inner)) + inner
    model = integer_field(1, IR_VERSION) + bytes_field(2, b"parity-zoo")
    model += bytes_field(8, integer_field(2, OPSET))  # opset_import, of the default domain
    for name, value in sorted(metadata.items()):
        model += bytes_field(14, bytes_field(1, utf8(name)) + bytes_field(2, utf8(value)))
    total = len(model) + size
    if total > MAX_BYTES:
        raise WeightsError(f"an ONNX file (={total} bytes) must have at most {MAX_BYTES}")
    # Protocol Buffers allows any order of fields; here the graph comes last and is streamed.
    file.write(model + bytes_head(7, size) + graph_name)
    for name, array in arrays.items():
        file.write(bytes_head(5, len(heads[name]) + array.nbytes) + heads[name])
        file.write(octets(plain(name, array)))


def _head(name: str, array: np.ndarray) -> bytes:
    """Return a TensorProto up to its data."""
    head = b"".join(integer_field(1, dim) for dim in array.shape)
    head += integer_field(2, _NUMBERS[array.dtype.name]) + bytes_field(8, utf8(name))
    return head + bytes_head(9, array.nbytes)


def _property(message: memoryview) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto."""
    found = {number: payload for number, _, payload in fields(message)}
    nothing = memoryview(b"")
    name = found.get(key(1, BYTES), nothing)
    return text(name, "metadata key"), text(found.get(key(2, BYTES), nothing), "metadata")


def _tensor(message: memoryview) -> _Tensor:
    tensor = _Tensor()
    for found, value, payload in fields(message):
        number, wire = found >> 3, found & 7
        if wire not in _STORED.get(number, (wire,)):
            raise WeightsError(
                f"{quoted(tensor.name)}: field {number} of a tensor is stored as {wire}, must be "
                f"{' or '.join(map(str, _STORED[number]))}"
            )
        if number == 1:
            tensor.dims += [signed(value)] if wire == VARINT else _integers(payload)
        elif number == 2:
            tensor.type = value
        elif number == 8:
            tensor.name = text(payload, "name")
        elif number == 9:
            tensor.raw = payload
        elif number in _ELEMENTS:
            data = tensor.typed.setdefault(number, bytearray())
            if wire == VARINT:
                data += value.to_bytes(8, "little")
            else:
                data += packed(payload).data if VARINT in _STORED[number] else payload
        elif number in _ELSEWHERE or (number == 14 and value == _EXTERNAL):
            tensor.elsewhere = True
    if tensor.elsewhere:
        raise WeightsError(
            f"{quoted(tensor.name)}: its data are in another file, which is not read; save the "
            "model as one file"
        )
    if tensor.type not in TYPES and tensor.type not in UNREAD:
        raise WeightsError(
            f"{quoted(tensor.name)}: data_type (={tensor.type}) must be one of "
            f"{', '.join(map(str, sorted((*TYPES, *UNREAD))))}"
        )
    return tensor


def _integers(payload: memoryview) -> list[int]:
    found: list[int] = packed(payload).view(np.int64).tolist()
    return found


FORMAT = Format(name="onnx", suffixes=(".onnx",), matches=matches, read=read, write=write)
