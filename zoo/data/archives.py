"""Zip and tar archives, read without unpacking them to the disk.

A zip and a plain tar are read where they lie, a compressed tar once, into memory, as nothing in it
can be found without unpacking what is before it.
"""

from __future__ import annotations

import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.trees import Tree, is_hidden, list_folder, sort_names
from zoo.errors import InputError

MAX_FILE = 512 << 20
"""Bytes of one file inside an archive; the largest batch of CIFAR-100 takes 160 million."""
MAX_UNPACKED = 4 << 30
"""Bytes of a compressed tar's members together: the files are kept in memory, and what is left out
has to be unpacked to be passed over."""
MAX_MEMBERS = 250_000
"""Of a compressed tar, which are found one by one."""
MAX_NAME = 1 << 20
"""Bytes of a tar's header of names and attributes, which is read as a whole."""

_HEADERS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_LOCAL = struct.Struct("<4s22xHH")  # a zip member's own header: signature, sizes of name and extra
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    OSError, ValueError, OverflowError, NotImplementedError,
)  # fmt: skip


def open_tree(path: Path) -> Tree:
    """Return the files below a folder or in a zip or tar archive; its bytes tell which it is.

    Raises:
        InputError: there is nothing there, it is something else, or it is damaged.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if path.is_dir():
            return list_folder(path)
        if not path.is_file():
            raise InputError(f"{path}: is a device, neither a folder nor a file")
        with path.open("rb") as file:
            start = file.read(8)
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _zip(path)
        if start.startswith(tuple(_COMPRESSED)):
            return _compressed_tar(path)
        if _is_tar(path):
            return _plain_tar(path)
    except InputError:
        raise
    except (*_DAMAGE, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error or "it asks for too much memory"
        raise InputError(f"{path}: is damaged or cannot be read: {reason}") from None
    raise InputError(f"{path}: is neither a folder nor a zip or tar archive")


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a file lies in an archive.

    Attributes:
        start: byte where it begins, in a zip with a header of its own.
        stored: bytes that it takes there.
        size: bytes that it has.
        deflated: whether they are packed.
        crc: their checksum; None in a tar, which has none.
    """

    start: int
    stored: int
    size: int
    deflated: bool = False
    crc: int | None = None


@dataclass(frozen=True, eq=False)
class Packed(Tree):
    """A zip or a plain tar, each file of which is read where it lies."""

    members: Mapping[str, _Member]

    def read(self, file: str) -> bytes:
        """Return the bytes of a file."""
        member = self.members[file]
        try:
            data = self._stored(member)
            if member.deflated:
                # No more than the directory says: a few bytes may inflate to any size.
                data = zlib.decompressobj(-15).decompress(data, max(1, member.size))
        except _DAMAGE as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.name(file)}: cannot be read: {reason}") from None
        if len(data) != member.size or member.crc not in (None, zlib.crc32(data)):
            raise InputError(f"{self.name(file)}: the archive is damaged here or cut off")
        return data

    def _stored(self, member: _Member) -> bytes:
        # Opened for each file: no state is shared by threads or processes, and beside decoding
        # an image it takes no time.
        with self.path.open("rb") as archive:
            archive.seek(member.start)
            if member.crc is not None:
                signature, name_size, extra_size = _LOCAL.unpack(archive.read(_LOCAL.size))
                if signature != b"PK\x03\x04":
                    return b""
                archive.seek(name_size + extra_size, os.SEEK_CUR)
            return archive.read(member.stored)


@dataclass(frozen=True, eq=False)
class Unpacked(Tree):
    """A compressed tar, in memory."""

    contents: Mapping[str, bytes]

    def read(self, file: str) -> bytes:
        """Return the bytes of a file."""
        return self.contents[file]


def _zip(path: Path) -> Packed:
    members, empty, size = {}, [], path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _visible(info.filename)
            if name is None:
                continue
            if info.is_dir():
                empty.append(name)
                continue
            if info.flag_bits & 1:
                raise InputError(f"{path}/{name}: is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(
                    f"{path}/{name}: compression method (={info.compress_type}) must be 0 (stored) "
                    "or 8 (deflate)"
                )
            _require_size(path, name, info.file_size)
            if not 0 <= info.header_offset <= size - info.compress_size:
                raise InputError(f"{path}/{name}: the archive is damaged here or cut off")
            members[name] = _Member(
                info.header_offset, info.compress_size, info.file_size,
                info.compress_type == zipfile.ZIP_DEFLATED, info.CRC,
            )  # fmt: skip
    return Packed(path, *sort_names(members, empty), members)


def _plain_tar(path: Path) -> Packed:
    members, empty = {}, []
    with tarfile.open(path, "r:", tarinfo=_Info) as archive:
        for info in archive:
            name = _tar_name(path, info)
            if name is not None and info.isdir():
                empty.append(name)
            elif name is not None:
                members[name] = _Member(info.offset_data, info.size, info.size)
    return Packed(path, *sort_names(members, empty), members)


def _compressed_tar(path: Path) -> Unpacked:
    contents: dict[str, bytes] = {}
    empty, total = [], 0
    with tarfile.open(path, "r:*", tarinfo=_Info) as archive:
        assert archive.fileobj is not None
        for number, info in enumerate(archive):
            if number == MAX_MEMBERS:
                raise InputError(
                    f"{path}: it has more than {MAX_MEMBERS} members, which in a compressed tar "
                    "are found one by one: unpack it, and give the folder"
                )
            total += max(info.size, 0)
            if total > MAX_UNPACKED:
                raise InputError(
                    f"{path}: its files have more than {MAX_UNPACKED} bytes together; a compressed "
                    "tar is read into memory: unpack it, and give the folder"
                )
            name = _tar_name(path, info)
            if name is None:
                continue
            if info.isdir():
                empty.append(name)
                continue
            # Not extractfile(), whose objects cost more than most images take to decode.
            archive.fileobj.seek(info.offset_data)
            contents[name] = archive.fileobj.read(info.size)
    return Unpacked(path, *sort_names(contents, empty), contents)


def _is_tar(path: Path) -> bool:
    """Return what `tarfile.is_tarfile` does, which would believe a first header of any size."""
    try:
        tarfile.open(path, "r:", tarinfo=_Info).close()
    except tarfile.ReadError:
        return False
    return True


class _Info(tarfile.TarInfo):
    """A member whose header of names and attributes is not believed to have any size."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _HEADERS and self.size > MAX_NAME:
            raise InputError(
                f"{archive.name!s}: a header of {self.size} bytes must have at most {MAX_NAME}"
            )
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_name(path: Path, info: tarfile.TarInfo) -> str | None:
    """Return the name of a file or a folder in a tar, or None where it is hidden."""
    name = _visible(info.name)
    if name is None or info.isdir():
        return name
    if not info.isreg() or info.issparse():
        kind = "a link" if info.issym() or info.islnk() else "no plain file"
        raise InputError(f"{path}/{name}: is {kind}; unpack the archive, and give the folder")
    _require_size(path, name, info.size)
    return name


def _visible(name: str) -> str | None:
    """Return a member's name without ``./``, or None where a part of it is hidden or ``..``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if not parts or any(map(is_hidden, parts)) else "/".join(parts)


def _require_size(path: Path, name: str, size: int) -> None:
    if not 0 <= size <= MAX_FILE:
        raise InputError(f"{path}/{name}: size (={size} bytes) must be at most {MAX_FILE}")
