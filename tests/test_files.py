"""What writes a file (`zoo.files`): who came first keeps it, and what the killed left goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from zoo import files
from zoo.errors import OutputError, ZooError
from zoo.files import atomic, scratch

ROOT = Path(__file__).parents[1]
KEPT = "exists and is kept; force=True (--force) replaces it"


def no_links(*_):
    raise PermissionError(1, "Operation not permitted")  # as FAT says


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_of_those_that_write_at_once_one_succeeds(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path, told = tmp_path / "w.npz", []
    together = threading.Barrier(4)

    def write(who):
        try:
            with atomic(path, force=False) as file:
                file.write(who)
                together.wait(10)  # by now all have found that the name is free
            told.append(who)
        except OutputError as error:
            told.append(str(error))

    threads = [threading.Thread(target=write, args=(who,)) for who in (b"0", b"1", b"2", b"3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(f"{path}: {KEPT}") == 3
    assert path.read_bytes() in told
    assert list(tmp_path.iterdir()) == [path]


def test_with_force_all_of_them_succeed(tmp_path):
    path = tmp_path / "w.npz"
    for who in (b"0", b"1"):
        with atomic(path, force=True) as file:
            file.write(who)
    assert path.read_bytes() == b"1"


# Holds a part of w.npz and a folder for it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from zoo.files import atomic, scratch
path = Path(sys.argv[1])
with scratch(path) as folder, atomic(path, force=True) as file:
    (folder / "half").write_bytes(b"half")
    file.write(b"half")
    file.flush()
    print("ready", flush=True)
    sys.stdin.read()
"""


def parts(folder):
    return sorted(part.is_dir() for part in folder.iterdir() if part.suffix == ".part")


def test_what_a_killed_process_left_is_cleared_and_what_another_one_writes_is_not(tmp_path):
    path, link = tmp_path / "w.npz", tmp_path / ".w.npz.01234567.part"
    link.symlink_to(ROOT)
    others = [".other.npz.01234567.part", ".w.npz.mine.part", "w.npz.part"]
    for name in others:
        (tmp_path / name).touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"ready\n"
        held = parts(tmp_path)
        with atomic(path, force=True) as file:
            file.write(b"whole")
        assert parts(tmp_path) == held  # the holder lives
        holder.kill()
        holder.wait()
        assert parts(tmp_path) == held
    with scratch(path):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"w.npz", link.name, *others}
    assert path.read_bytes() == b"whole"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """Files are written, and nothing is cleared away: it might be in use."""
    left = tmp_path / ".w.npz.01234567.part"
    left.touch()

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with atomic(tmp_path / "w.npz", force=False) as file:
        file.write(b"whole")
    assert sorted(tmp_path.iterdir()) == [left, tmp_path / "w.npz"]


def test_a_part_that_was_cleared_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    hold, taken = files._hold, []

    def late(part, needed=False):
        if not taken:
            taken.append(part)
            part.unlink()  # another process has cleared it
        return hold(part, needed)

    monkeypatch.setattr(files, "_hold", late)
    with atomic(tmp_path / "w.npz", force=False) as file:
        file.write(b"whole")
    assert taken
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"whole"]


def test_a_scratch_folder_stays_where_it_is_renamed(tmp_path):
    with scratch(tmp_path / "new" / "run") as folder:
        (folder / "a").touch()
        folder.rename(tmp_path / "new" / "run")
    assert [p.name for p in tmp_path.rglob("*")] == ["new", "run", "a"]


def test_an_output_error_is_both(tmp_path):
    """Where code expects an OSError and where it expects one of ours."""
    for kind in (ZooError, OSError):
        with pytest.raises(kind, match="does not exist"):
            files.require_free(tmp_path / "none" / "w.npz", force=True)


@pytest.mark.exhaustive
def test_killed_writers_break_nothing_and_leave_nothing(tmp_path):
    """SIGKILL while they write: a hundred each are in benchmarks/results/kills.json."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed_writers.py"), tmp_path, "3"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [row for line in done.stdout.splitlines() for row in json.loads(line).values()]
    assert {(row["kills"], row["broken"], row["left"]) for row in rows} == {(3, 0, 0)}
    assert sum(row["hits"] for row in rows) >= len(rows) == 5
