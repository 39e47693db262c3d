"""The wire format of Protocol Buffers: a message is a run of (key, value) fields.

A key is a field's number and how its value is stored. What the numbers mean is told by those who
read and write with this: the formats `ckpt` and `onnx`, and MINDIR files as networks.
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zoo.errors import WeightsError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a value is stored: an integer, 8 bytes, a length and so many bytes, 4 bytes."""

MAX_VARINT = 10
"""Bytes of seven bits that 64 bits take."""

BLOCK = 1 << 16
"""Bytes of packed integers decoded at a time: the steps in between take 60 times their memory."""

_NOTHING = memoryview(b"")


def key(number: int, wire: int) -> int:
    """Return the key of a field: its number and the way its value is stored."""
    return number << 3 | wire


def fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (key, integer, bytes) of each field of a message.

    The integer (0 … 2⁶⁴ - 1) is the value where it is stored as VARINT, else 0; the bytes are the
    value where it is stored otherwise, and share the message's memory.

    Raises:
        WeightsError: the bytes are no message, or end before it does.
    """
    at, end = 0, len(message)
    while at < end:
        found, at = varint(message, at)
        wire = found & 7
        if not 8 <= found < 1 << 32:
            raise WeightsError(f"field number (={found >> 3}) must be from 1 to {(1 << 29) - 1}")
        if wire == VARINT:
            value, at = varint(message, at)
            yield found, value, _NOTHING
            continue
        if wire == BYTES:
            size, at = varint(message, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise WeightsError(f"wire type (={wire}) of field {found >> 3} must be 0, 1, 2 or 5")
        if size > end - at:
            raise WeightsError(
                f"cut short: field {found >> 3} (={size} bytes) must fit into the {end - at} left"
            )
        yield found, 0, message[at : at + size]
        at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the integer (0 … 2⁶⁴ - 1) that starts at a byte, and where the next field starts.

    Raises:
        WeightsError: the integer has no end, or more than 10 bytes.
    """
    value = 0
    for place in range(MAX_VARINT):
        if at >= len(data):
            raise WeightsError("cut short: the bytes end inside an integer")
        byte = data[at]
        at += 1
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value & (1 << 64) - 1, at
    raise WeightsError(f"an integer must be at most {MAX_VARINT} bytes long")


def signed(value: int) -> int:
    """Return the int64 whose bits an unsigned integer has."""
    return value - (1 << 64) if value >> 63 else value


def packed(data: memoryview) -> np.ndarray:
    """Return all integers of a packed field (uint64): as `varint`, at the speed of NumPy.

    Raises:
        WeightsError: the last integer has no end, or one has more than 10 bytes.
    """
    octets = np.frombuffer(data, np.uint8)
    blocks, at = [np.empty(0, np.uint64)], 0
    while at < len(octets):
        values, used = _block(octets[at : at + BLOCK])
        blocks.append(values)
        at += used
    return np.concatenate(blocks)


def _block(octets: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the integers that end in these bytes, and how many bytes they take."""
    ends = np.flatnonzero(octets < 128)
    if not len(ends):
        varint(octets.data, 0)  # raises: which of the two, it tells
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > MAX_VARINT:
        raise WeightsError(f"an integer must be at most {MAX_VARINT} bytes long")
    values = np.zeros(len(ends), np.uint64)
    for place in range(sizes.max()):
        longer = np.flatnonzero(sizes > place)
        bits = (octets[starts[longer] + place] & 127).astype(np.uint64)
        values[longer] |= bits << np.uint64(7 * place)
    return values, int(ends[-1]) + 1


def integer(value: int) -> bytes:
    """Return a varint; a negative value as the 64 bits of its two's complement."""
    value &= (1 << 64) - 1
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def integer_field(number: int, value: int) -> bytes:
    """Return a whole field of an integer."""
    return integer(key(number, VARINT)) + integer(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a whole field of bytes: text, a message or raw data."""
    return bytes_head(number, len(value)) + value


def bytes_head(number: int, size: int) -> bytes:
    """Return what goes before ``size`` bytes that are written after it."""
    return integer(key(number, BYTES)) + integer(size)
