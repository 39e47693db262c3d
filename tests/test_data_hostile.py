"""Archives that ask for more than they are: sizes are bounded before anything believes them."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from zoo.data import archives, open_dataset
from zoo.errors import InputError


def one():
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def add(archive, name, data, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def refusal(path):
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as error:
            open_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    return str(error.value)


HEADERS = {
    "a long name": tarfile.GNUTYPE_LONGNAME,
    "a long link": tarfile.GNUTYPE_LONGLINK,
    "attributes": tarfile.XHDTYPE,
    "attributes of all": tarfile.XGLTYPE,
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("packed", [True, False])
def test_headers_of_any_size(tmp_path, kind, packed):
    path = tmp_path / "data.tar"
    size = 300 << 20
    info = tarfile.TarInfo("a/1.png")
    info.type, info.size = HEADERS[kind], size
    header = info.tobuf(tarfile.GNU_FORMAT)
    if packed:
        with gzip.open(path, "wb", 1) as file:
            file.write(header)
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    else:
        with path.open("wb") as file:
            file.write(header)
            file.truncate(size + 10_240)  # a hole, which takes no room
    told = refusal(path)
    assert told == f"{path}: a header of {size} bytes must have at most {archives.MAX_NAME}"


def test_names_that_are_long_are_read(tmp_path):
    path = tmp_path / "data.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a", "b"):
            add(archive, f"{name}/{'x' * 300}.png", one())
    assert len(open_dataset(path).train) == 2


@pytest.mark.parametrize("name", ["a/1.png", ".hidden"])
def test_what_a_compressed_tar_holds_together(tmp_path, monkeypatch, name):
    # What is left out is counted as well: it is unpacked to be passed over.
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1 << 20)
    path = tmp_path / "data.tar.bz2"
    with tarfile.open(path, "w:bz2") as archive:
        add(archive, name, bytes(3 << 20))
    assert refusal(path) == (
        f"{path}: its files have more than {1 << 20} bytes together; a compressed tar is read into "
        "memory: unpack it, and give the folder"
    )


def test_members_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    for kind in ("gz", "xz"):
        path = tmp_path / f"data.tar.{kind}"
        with tarfile.open(path, f"w:{kind}") as archive:
            for i in range(51):
                add(archive, f".{i}", b"")
        assert refusal(path) == (
            f"{path}: it has more than 50 members, which in a compressed tar are found one by one: "
            "unpack it, and give the folder"
        )


@pytest.mark.parametrize("field", ["stored", "offset"])
def test_a_zip_that_is_said_to_hold_more_than_it_is_long(tmp_path, field):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/1.png", "b/1.png"):
            archive.writestr(name, one())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the first row of the directory
    struct.pack_into("<I", data, at + {"stored": 20, "offset": 42}[field], 0x7FFFFFFF)
    path.write_bytes(data)
    told = refusal(path)
    assert told == f"{path}/a/1.png: the archive is damaged here or cut off"
