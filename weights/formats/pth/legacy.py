"""PyTorch's file format before 1.6: pickles one behind the other, then the storages' bytes.

magic number · protocol 1001 · system · the object · keys of the storages · (count, elements) × n
"""

from __future__ import annotations

import io

from weights.formats.arrays import quoted
from weights.formats.pth.pickles import load
from weights.formats.pth.tensors import Pickled, Records, torch_names
from zoo.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_BINARY = b"\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."
_TEXT = b"L%dL\n." % MAGIC


def is_legacy(data: memoryview) -> bool:
    """Tell whether bytes start with the magic number, in any of pickle's protocols."""
    start = bytes(data[:40])
    # Protocol 4 has a frame around it: the number is up to eleven bytes in.
    return start.startswith(_TEXT) or (start[:1] == b"\x80" and 2 <= start.find(_BINARY) <= 11)


def read_legacy(data: memoryview) -> tuple[object, Records]:
    """Return the object of a file and the bytes of its storages.

    Raises:
        WeightsError: the file is damaged, or its pickle asks for more than data.
    """
    stream, pickled = io.BytesIO(data), Pickled()
    magic, protocol = load(stream, {}), load(stream, {})
    if type(magic) is not int or magic != MAGIC or type(protocol) is not int:
        raise WeightsError("the magic number is damaged")
    if protocol != PROTOCOL:
        raise WeightsError(f"protocol (={quoted(str(protocol))}) must be {PROTOCOL}")
    load(stream, {})  # the system's byte order: not used, as elements are always little-endian
    found = load(stream, torch_names(), pickled)
    keys = load(stream, {})
    if type(keys) is not list:
        raise WeightsError("the list of storages is damaged")
    records: dict[str, memoryview] = {}
    position = stream.tell()
    for key in keys:
        if type(key) is not str or key not in pickled.storages or key in records:
            raise WeightsError(
                f"storage {quoted(str(key)) if type(key) is str else '?'} is unknown"
            )
        itemsize = pickled.storages[key].dtype.itemsize
        count = int.from_bytes(data[position : position + 8], "little", signed=True)
        position += 8
        if not 0 <= count * itemsize <= len(data) - position:
            raise WeightsError(
                f"truncated: storage {quoted(key)} has {count} elements of {itemsize} bytes, and "
                f"{max(len(data) - position, 0)} bytes follow"
            )
        records[key] = data[position : position + count * itemsize]
        position += count * itemsize

    def record(key: str) -> memoryview:
        if key not in records:
            raise WeightsError(f"storage {quoted(key)} is not in the file")
        return records[key]

    return found, Records(record)
