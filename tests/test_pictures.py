"""Pictures of strangers: what is decoded, how much of it, and what never runs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.images import collect, find_pictures
from zoo.pictures import FORMATS, decode
from zoo.preprocessing import PRESETS


def by_dataset(folder):
    split = zoo.open_dataset(folder).splits["train"]
    return split.images.picture(0)


def by_calibration(folder):
    return find_pictures(folder).pixels(PRESETS["imagenet"])


WAYS = [by_dataset, by_calibration]


@pytest.fixture
def folder(tmp_path):
    """A data set of class folders; the first picture of all is for a test to write."""
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / split / name / "9.png")
    return tmp_path / "data"


def png(width, height, kind=0):
    """Return a PNG of one value, 1 bit a pixel, in a few bytes."""
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height)
    header = struct.pack(">IIBBBBB", width, height, 1, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    made = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 64 64
%%EndComments
(run) (w) file closefile showpage
%%EOF
"""


@pytest.mark.parametrize("way", WAYS)
def test_code_in_a_picture_is_not_run(way, folder, tmp_path, monkeypatch):
    # Pillow asks for Ghostscript by its name: this one tells that it was started.
    started = tmp_path / "started"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    for split in ("train", "val"):
        (folder / split / "ant" / "0.png").write_bytes(EPS)
    with pytest.raises(zoo.InputError, match=r"ant/0\.png: cannot be read as an image: its"):
        way(folder)
    assert not started.exists()


def test_the_stand_in_for_ghostscript_would_be_started(tmp_path, monkeypatch):
    started = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    with Image.open(io.BytesIO(EPS)) as picture, contextlib.suppress(OSError, ValueError):
        picture.load()
    assert started.exists()


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_more_pixels_than_memory_is_refused(way, folder):
    data = png(9_000, 9_000)  # Pillow itself would admit it
    assert len(data) < 30_000
    for split in ("train", "val"):
        (folder / split / "ant" / "0.png").write_bytes(data)
    with pytest.raises(zoo.InputError, match=r"pixels \(=9000x9000\) must be at most 67108864"):
        way(folder)


def test_few_bytes_may_ask_for_few_pixels():
    data = png(8_000, 8_000)
    assert len(data) < 10_000
    told = f"pixels (=8000x8000) of {len(data)} bytes must be at most {4096 * len(data)}"
    with pytest.raises(zoo.InputError, match=re.escape(told)):
        decode(data)
    assert decode(png(2_800, 2_900)).size == (2_800, 2_900)
    assert decode(data + bytes(8_000)).size == (8_000, 8_000)  # as many bytes as a blank page has


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
@pytest.mark.parametrize("way", WAYS)
def test_a_pipe_is_no_picture(way, folder):
    for split in ("train", "val"):
        os.mkfifo(folder / split / "ant" / "0.png")
    with pytest.raises(zoo.InputError, match=r"ant/0\.png: is no regular file"):
        way(folder)


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_that_are_decoded(kind):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(pixels).save(file, kind, **options)
    found = np.asarray(decode(file.getvalue()))
    assert found.shape == (5, 7, 3)
    if kind not in ("JPEG", "GIF"):
        assert np.array_equal(found, pixels)


def test_one_walk_finds_the_pictures_of_all(folder):
    """Training, calibration and evaluation: through links, not back, and nothing that is hidden."""
    ant = folder / "train" / "ant"
    for name in (".hidden/1.png", "__MACOSX/1.png", "._9.png", "notes.txt", "deep/er/2.PGM"):
        (ant / name).parent.mkdir(parents=True, exist_ok=True)
        (ant / name).write_bytes((ant / "9.png").read_bytes())
    (ant / "linked").symlink_to(folder / "val" / "bee")
    (ant / "back").symlink_to(folder)
    expected = ["ant/9.png", "ant/deep/er/2.PGM", "ant/linked/9.png", "bee/9.png"]
    assert list(find_pictures(folder / "train").files) == expected
    assert [str(path) for path in map(os.path.normpath, collect([folder / "train"]).files)] == [
        str(folder / "train" / name) for name in expected
    ]
    assert sorted(zoo.open_dataset(folder).train.images.files) == [
        f"train/{name}" for name in expected
    ]
