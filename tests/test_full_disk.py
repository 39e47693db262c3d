"""Every writer on a full disk and on one that is only for reading: the old file, one clear error.

A limit on the size of files fails in write() as a full disk does, and needs no disk of its own.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from killed_writers import OLD, WRITERS, Made

import zoo
from zoo.proof.report import ParityReport

LIMIT = 3000
"""Bytes of a file: less than any of these has."""


def reports(suffix: str) -> Callable[[Path], Made]:
    def made(folder: Path) -> Made:
        path = folder / f"report{suffix}"
        found = zoo.parity("shufflenet_v1_0.5x_g3", backends=["numpy"], level="structure")
        assert isinstance(found, ParityReport)
        write = found.save if suffix == ".json" else found.plot
        return path, lambda: write(path)

    return made


def sources(folder: Path) -> Made:
    path = folder / "net.py"
    return path, lambda: zoo.write_source(
        "shufflenet_v1_0.5x_g3", path, backend="torch", force=True
    )


ALL = WRITERS | {"report": reports(".json"), "chart": reports(".png"), "source": sources}


@contextmanager
def full(_: pytest.MonkeyPatch) -> Iterator[str]:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, most))
    try:
        yield os.strerror(errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def read_only(patch: pytest.MonkeyPatch) -> Iterator[str]:
    system = os.open

    def refuse(path: object, flags: int = os.O_CREAT, *rest: int, **named: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return system(path, flags, *rest, **named)  # type: ignore[arg-type]

    with patch.context() as patched:
        patched.setattr(os, "open", refuse)
        patched.setattr(os, "mkdir", lambda path, *_, **__: refuse(path))
        yield os.strerror(errno.EROFS)


@pytest.mark.sweep(quick=["save-*", "export-*", "convert-*", "download-*"])
@pytest.mark.parametrize("disk", [full, read_only], ids=["full", "read-only"])
@pytest.mark.parametrize("writer", ALL)
def test_the_old_file_is_kept(
    writer: str, disk: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZOO_CACHE", "NO_PROXY", "ZOO_OFFLINE", "ZOO_MIRROR"):
        monkeypatch.setenv(name, "")
    path, write = ALL[writer](tmp_path)
    if writer != "download":  # which would tell that the old file is damaged
        path.write_bytes(OLD)
    before = {found for found in tmp_path.rglob("*") if found.is_file()}
    with disk(monkeypatch) as reason, pytest.raises(zoo.ZooError) as error:
        write()
    assert str(error.value).startswith(f"{path}: cannot be ")
    assert reason in str(error.value)
    after = {found for found in tmp_path.rglob("*") if found.is_file()}
    # What came of a download is carried on by the next one, and a lock is of no weight.
    assert {found.suffix for found in after - before} <= (
        {".part", ".lock"} if writer == "download" else set()
    )
    assert writer == "download" or path.read_bytes() == OLD
    write()
    assert path.read_bytes() != OLD


def test_without_a_care_the_old_file_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the limit does to a file that is written in place."""
    path = tmp_path / "net.py"
    path.write_bytes(OLD)
    with full(monkeypatch), pytest.raises(OSError, match="File too large"):
        path.write_bytes(bytes(2 * LIMIT))
    assert path.read_bytes() == bytes(LIMIT)
