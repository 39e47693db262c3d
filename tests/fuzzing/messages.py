"""Changes of Protocol Buffers' messages whose lengths stay right: ONNX's and MindSpore's files."""

from __future__ import annotations

import random
from collections.abc import Callable

from zoo.errors import WeightsError
from zoo.protobuf import BYTES, VARINT, fields, integer

NUMBERS = (0, 1, 2, 7, 15, 127, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 64) - 1)


def message(
    data: bytes, rng: random.Random, change: Callable[[bytes, random.Random], bytes]
) -> bytes:
    """Return a message with one field changed somewhere in its depth, lost, moved or doubled.

    Args:
        data: the message; other bytes are changed as such.
        rng: what draws.
        change: what is done to bytes that are no message.
    """
    try:
        found = [(key, value, bytes(content)) for key, value, content in fields(memoryview(data))]
    except WeightsError:
        found = []
    if not found:
        return change(data, rng)
    i = rng.randrange(len(found))
    key, value, content = found[i]
    kind = rng.randrange(10)
    if kind == 0:
        del found[i]
    elif kind == 1:
        found.insert(rng.randrange(len(found) + 1), found[i])
    elif kind == 2:
        j = rng.randrange(len(found))
        found[i], found[j] = found[j], found[i]
    elif kind == 3:
        found[i] = (rng.randrange(1, 30) << 3 | key & 7, value, content)
    elif key & 7 == VARINT:
        found[i] = (key, rng.choice((*NUMBERS, value + 1, max(value - 1, 0))), content)
    elif key & 7 == BYTES:
        found[i] = (key, value, message(content, rng, change) if kind < 9 else change(content, rng))
    else:
        found[i] = (key, value, change(content, rng)[: len(content)].ljust(len(content), b"\0"))
    return b"".join(_field(*field) for field in found)


def _field(key: int, value: int, content: bytes) -> bytes:
    if key & 7 == VARINT:
        return integer(key) + integer(value)
    return integer(key) + (integer(len(content)) if key & 7 == BYTES else b"") + content
