"""Changes of bytes that know nothing of a format, and those within frames, which are made right."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from fuzzing.messages import message
from fuzzing.texts import structured
from zoo.protobuf import integer

EXTREMES = [0, 1, *(sign * (1 << bits) + near for bits in (7, 15, 16, 31, 32, 40, 62, 63)
                    for sign in (1, -1) for near in (-1, 0, 1))]  # fmt: skip
TOKENS = [
    b"cos\nsystem\n", b"c__builtin__\neval\n", b"(", b")", b"R", b"\x81", b"b", b"}", b"]", b"a",
    b"e", b"u", b"s", b"Q", b"0", b"2", b"h\x00", b"\x8b\xff\xff\xff\x7f", b"\x8a\xff", b"\x94",
    b"\x8d" + b"\xff" * 7 + b"\x7f", b"{", b'"', b"[" * 200, b"'|O'", b"'<f8'", b"True", b"nan",
    b"1e999", b"\xff" * 9 + b"\x01", b"\xff" * 11, b"\x0a\x00", b"\x08\x00", b"\x12\x80\x80\x04",
    b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"\x93NUMPY", b"crc_num",
    b"\x00" * 64, b"\n", b"\t", b",", b"=", b"../", b"/", b"\xc3\x28", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"GIF89a", b"RIFF", b"II*\x00",
    b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00", b"ustar\x00",
]  # fmt: skip
Change = Callable[[bytes, random.Random], bytes]


def damage(data: bytes, rng: random.Random, framed: float = 0.4) -> bytes:
    """Return bytes changed once or a few times.

    Args:
        data: they.
        rng: what draws.
        framed: how often they are changed inside of what guards them: checksums, lengths, packing,
            syntax.
    """
    if rng.random() < framed:
        return inside(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def inside(data: bytes, rng: random.Random) -> bytes:
    """Change a file within the frame that guards it, and make the frame right again."""
    for start, change in FRAMES:
        if data.startswith(start):
            try:
                return change(data, rng)
            except (
                zlib.error,
                zipfile.BadZipFile,
                ValueError,
                struct.error,
            ):  # the frame was changed before
                return rng.choice(MUTATIONS)(data, rng)
    if data[-17:-10] == b"crc_num":
        return with_crc(message(data[:-17], rng, inner))
    if data[257:262] == b"ustar":
        return _tar(data, rng)
    size = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and size < len(data):
        header = inner(data[8 : 8 + size], rng)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    changed = structured(data, rng)
    return rng.choice(MUTATIONS)(data, rng) if changed is None else changed


def inner(data: bytes, rng: random.Random) -> bytes:
    """Change what lies in a frame: by its structure where it has one."""
    return damage(data, rng, framed=0.7)


def with_crc(records: bytes) -> bytes:
    """Return a MindSpore checkpoint of records."""
    return records + b"crc_num" + zlib.crc32(records).to_bytes(10, "big")


def _zip(data: bytes, rng: random.Random) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
        names = old.namelist()
        if not names:
            return rng.choice(MUTATIONS)(data, rng)
        target = next((n for n in names if n.endswith(".pkl")), rng.choice(names))
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        kind = rng.randrange(8)
        for member in names:
            content, name = old.read(member), member
            if member == target and kind > 1:
                content = inner(content, rng)
            elif member == target:
                name = rng.choice(("../x", "/x", "a", f"{name}/", f".{name}", name * 40, "é\x00b"))
            new.writestr(zipfile.ZipInfo(name), content, method)
        new.comment = old.comment
    return changed.getvalue()


def _tar(data: bytes, rng: random.Random) -> bytes:
    """Change a member's content, or a header, whose checksum is made right."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
    if not members:
        return rng.choice(MUTATIONS)(data, rng)
    member = rng.choice(members)
    if rng.random() < 0.5:
        content = inner(data[member.offset_data :][: member.size], rng)[: member.size]
        stop = member.offset_data + member.size
        return data[: member.offset_data] + content.ljust(member.size, b"\0") + data[stop:]
    header = bytearray(data[member.offset : member.offset + 512])
    start, size = rng.choice(((0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155)))
    new = {
        124: (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\x80" + bytes(10) + b"\1", bytes(12)),
        156: (b"0", b"1", b"2", b"3", b"5", b"6", b"L", b"K", b"x", b"g", b"S", b"\0", b"Z"),
    }.get(start)
    field = rng.choice(new) if new else rng.choice(MUTATIONS)(bytes(header[start:][:size]), rng)
    header[start : start + size] = field[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[: member.offset] + bytes(header) + data[member.offset + 512 :]


def _packed(pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]) -> Change:
    def change(data: bytes, rng: random.Random) -> bytes:
        try:
            return pack(inner(unpack(data), rng))
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):  # changed before
            return rng.choice(MUTATIONS)(data, rng)

    return change


def _png(data: bytes, rng: random.Random) -> bytes:
    """Change a chunk, or leave it out or have it twice; its length and checksum are right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    if rng.random() < 0.2:
        chunks[i : i + 1] = rng.choice(([], [chunks[i]] * 2, [chunks[i], rng.choice(chunks)]))
    else:
        if kind == b"IDAT" and rng.random() < 0.5:
            content = zlib.compress(damage(zlib.decompress(content), rng))
        elif kind == b"IHDR" and rng.random() < 0.7:
            sides = [rng.choice((1, 5, 3000, 8192, 20000, 1 << 20, 0)) for _ in range(2)]
            content = struct.pack(">II", *sides) + content[8:]
        else:
            content = damage(content, rng)
        chunks[i] = kind, content
    changed = b"".join(
        len(c).to_bytes(4, "big") + k + c + zlib.crc32(k + c).to_bytes(4, "big") for k, c in chunks
    )
    return data[:8] + changed


FRAMES: tuple[tuple[bytes, Change], ...] = (
    (b"PK\x03\x04", _zip),
    (b"\x1f\x8b", _packed(lambda data: gzip.compress(data, 1, mtime=0), gzip.decompress)),
    (b"BZh", _packed(lambda data: bz2.compress(data, 1), bz2.decompress)),
    (b"\xfd7zXZ\x00", _packed(lambda data: lzma.compress(data, preset=0), lzma.decompress)),
    (b"\x89PNG\r\n", _png),
    (b"\x08", lambda data, rng: message(data, rng, inner)),  # what ONNX's files start with
    (b"\n\x031.", lambda data, rng: message(data, rng, inner)),  # and MindSpore's of networks
)


def _at(data: bytes, rng: random.Random) -> int:
    """Return a place in bytes; where sizes and counts stand, at the start, more often."""
    most = len(data) if rng.random() < 0.6 else min(len(data), 64)
    return rng.randrange(most + 1)


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _noise(data: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    new = rng.randbytes(rng.choice((1, 2, 4, 16, 64)))
    return data[:at] + new + data[at + len(new) :]


def _splice(data: bytes, rng: random.Random) -> bytes:
    start, stop, at = (rng.randrange(len(data) + 1) for _ in range(3))
    piece = data[min(start, stop) : max(start, stop)]
    return data[:at] + piece + data[at + rng.choice((0, len(piece))) :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64)) :]


def _extreme(data: bytes, rng: random.Random) -> bytes:
    value, at = rng.choice(EXTREMES), _at(data, rng)
    order, size = rng.choice("<>"), rng.choice("BHIQ")
    raw = struct.pack(order + size, value & (1 << 8 * struct.calcsize(size)) - 1)
    raw = integer(value) if rng.random() < 0.3 else raw
    return data[:at] + raw + data[at + len(raw) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Put another number for a number in text: shapes and offsets of headers, counts of pickles."""
    places = list(re.finditer(rb"\d+", data[: 1 << 14]))
    if not places:
        return _extreme(data, rng)
    place = rng.choice(places)
    value = rng.choice((*EXTREMES, 10**15, 10**30, 10**5000 if rng.random() < 0.02 else 9))
    text = str(value) if abs(value) < 10**4000 else "1" + "0" * 5000
    return data[: place.start()] + text.encode() + data[place.end() :]


def _token(data: bytes, rng: random.Random) -> bytes:
    token, at = rng.choice(TOKENS), _at(data, rng)
    return data[:at] + token + data[at + rng.choice((0, len(token))) :]


def _random(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((2, 4, 8, 10, 16, 40))] + rng.randbytes(rng.randrange(200))


MUTATIONS: tuple[Change, ...] = (
    _truncate, _flip, _flip, _noise, _splice, _remove, _extreme, _extreme, _number, _token, _random,
)  # fmt: skip
