"""PyTorch's file format since 1.6: a zip archive with a pickle and one record for each storage.

    top/data.pkl · top/byteorder · top/data/0 · top/data/1 · … · top/version

`zipfile` reads the directory. The records are looked at where they lie: none is compressed.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

from weights.formats.arrays import quoted
from weights.formats.pth.pickles import load
from weights.formats.pth.tensors import Pickled, Records, torch_names
from zoo.errors import WeightsError

_MAGIC = b"PK\3\4"
_HEADER = struct.Struct(
    "<4s5H3L2H"
)  # of a record: the last two are the name's and the extra's sizes


class _View(io.RawIOBase):
    """Bytes as the file that `zipfile` wants, without a copy."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}
        if base[whence] + offset < 0:
            raise OSError("before the start")  # which zipfile expects of files that are too short
        self._position = base[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        stop = len(self._data) if size < 0 else self._position + size
        found = bytes(self._data[self._position : stop])
        self._position += len(found)
        return found


@dataclass(frozen=True)
class Archive:
    """The records of an archive by their names below its one top folder."""

    data: memoryview
    places: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # start, size, checksum

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def __getitem__(self, name: str) -> memoryview:
        if name not in self.places:
            raise WeightsError(f"record {quoted(name)} is not in the archive")
        start, size, checksum = self.places[name]
        found = self.data[start : start + size]
        # PyTorch can be told to spare the checksums, and then writes 0.
        if checksum and zlib.crc32(found) != checksum:
            raise WeightsError(f"record {quoted(name)} is damaged: its checksum does not fit")
        return found


def is_zip(data: memoryview) -> bool:
    """Tell whether bytes are a zip archive with a data.pkl in a folder.

    A look at the first record decides for nearly every file, complete or not.
    """
    if bytes(data[:4]) != _MAGIC:
        return False
    if len(data) >= _HEADER.size:
        *_, name, _ = _HEADER.unpack_from(data)
        if bytes(data[_HEADER.size : _HEADER.size + name]).endswith(b"/data.pkl"):
            return True
    try:
        with zipfile.ZipFile(_View(data)) as found:
            return any(
                name.count("/") == 1 and name.endswith("/data.pkl") for name in found.NameToInfo
            )
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
        return False


def read_zip(data: memoryview) -> tuple[object, Records, Archive]:
    """Return the object of a file, the bytes of its storages, and all records.

    Raises:
        WeightsError: the file is damaged, or its pickle asks for more than data.
    """
    archive = open_archive(data)
    order = bytes(archive["byteorder"][:16]) if "byteorder" in archive else b"little"
    if order not in (b"little", b"big"):
        raise WeightsError(f"byteorder (={order!r}) must be little or big")
    found = load(io.BytesIO(archive["data.pkl"]), torch_names(), Pickled())
    records = Records(lambda key: archive[f"data/{key}"], big_endian=order == b"big")
    return found, records, archive


def open_archive(data: memoryview) -> Archive:
    """Return the records of an archive.

    Raises:
        WeightsError: the directory is damaged, or the archive is not one of PyTorch's weights.
    """
    try:
        with zipfile.ZipFile(_View(data)) as opened:
            members = [member for member in opened.infolist() if not member.filename.endswith("/")]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise WeightsError(f"truncated or damaged archive ({error})") from None
    tops = {member.filename.partition("/")[0] for member in members}
    names = {member.filename.partition("/")[2] for member in members}
    if len(tops) != 1 or "" in names:
        shortened = ", ".join(quoted(top) for top in sorted(tops)[:3])
        raise WeightsError(f"archive must have one top folder, not {shortened}")
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise WeightsError(
            "is a TorchScript program, not weights; nothing was run. torch.jit.load reads it: save "
            "its state_dict() instead"
        )
    if len(names) != len(members):
        raise WeightsError("archive has two records of one name")
    archive, end = Archive(data), 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name = member.filename.partition("/")[2]
        if member.flag_bits & 0x2041:
            raise WeightsError(f"record {quoted(name)} is encrypted")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise WeightsError(f"record {quoted(name)} is compressed, which PyTorch never does")
        # Records that share bytes could make an archive many times its own size.
        start = _start(data, member.header_offset, name)
        if member.header_offset < end or start + member.file_size > len(data):
            raise WeightsError(f"record {quoted(name)} does not lie in a place of its own")
        end = start + member.file_size
        archive.places[name] = (start, member.file_size, member.CRC)
    return archive


def _start(data: memoryview, offset: int, name: str) -> int:
    """Return where the bytes of a record start, behind its header."""
    if not 0 <= offset <= len(data) - _HEADER.size or bytes(data[offset : offset + 4]) != _MAGIC:
        raise WeightsError(f"record {quoted(name)} has no header")
    *_, name_size, extra_size = _HEADER.unpack_from(data, offset)
    return offset + _HEADER.size + int(name_size) + int(extra_size)
