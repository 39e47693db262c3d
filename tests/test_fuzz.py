"""A sample of the fuzzer's cases, and proof that it would notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import fuzz
import numpy as np
import pytest
from fuzzing.child import MEMORY, SECONDS, put
from fuzzing.doors import DOORS, case

from zoo.errors import WeightsError, ZooError

FEW = {"weights": 60, "run": 60, "exported": 60, "resume": 3, "mindir": 150}
"""Cases of the doors that take milliseconds."""


@pytest.mark.sweep(
    quick=["weights", "safetensors", "torch", "onnx", "recipe", "run", "png", "zip", "mindir"]
)
@pytest.mark.parametrize("name", DOORS)
def test_what_is_damaged_is_read_or_refused(name):
    cases = FEW.get(name, 300)
    result = fuzz.run(name, cases, seed=1)
    assert result["failed"] == []
    assert result["read"] + result["refused"] == cases
    assert result["refused"] > cases // 4  # damage was done
    assert result["read"] or cases < 50  # and not all of it at the first byte


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(DOORS.keys() - FEW.keys()))
def test_much_that_is_damaged_is_read_or_refused(name):
    assert fuzz.run(name, cases=2500, seed=2)["failed"] == []


@pytest.mark.parametrize("name", ["npz", "recipe", "run", "png", "tar", "xz", "zip"])
def test_cases_repeat(name):
    valid = DOORS[name].valid()
    cases = [case(name, valid, 0, number) for number in range(40)]
    assert [case(name, valid, 0, number) for number in range(40)] == cases
    assert sum(one not in cases[:i] for i, one in enumerate(cases)) > 30
    assert [case(name, valid, 1, number) for number in range(40)] != cases


def test_samples_repeat():
    """Their bytes hold no time and nothing that was drawn, so that a number is a case for ever."""
    for name in ("npz", "weights", "run", "exported", "zip", "gz"):
        assert DOORS[name].valid() == DOORS[name].valid()


def test_folders_are_damaged_in_every_way(tmp_path):
    (valid,) = DOORS["run"].valid()
    names = set()
    for number in range(200):
        put(case("run", [valid], 0, number), tmp_path / "x")
        found = {p.relative_to(tmp_path / "x").as_posix() for p in (tmp_path / "x").rglob("*")}
        names.add(tuple(sorted(set(valid) - found)))
    assert {("recipe.json",), ("run.json",), ("epochs.csv",), ("steps.csv",), ()} <= names


# ── Readers that do what none may do, each found out ─────────────────────────────────────────────


def refuses(path):
    raise WeightsError(f"{path}: no")


def leaks(_):
    raise KeyError("x")


def warns(_):
    warnings.warn("x", stacklevel=1)


def hangs(_):
    while True:
        time.sleep(0.01)


def computes(_):
    while True:
        pass


def asks(path):
    try:
        return np.ones(MEMORY)
    except MemoryError as error:  # as the registry reports it
        raise WeightsError(f"{path}: damaged npz file (MemoryError: {error})") from None


def asks_in_silence(path):
    try:
        return np.ones(MEMORY)
    except MemoryError:
        raise ZooError("something is wrong") from None


def maps(_):
    """Use memory of another kind than the limit is on."""
    import mmap

    with mmap.mmap(-1, MEMORY + (32 << 20), mmap.MAP_SHARED) as memory:
        for _ in range(len(memory) >> 20):
            memory.write(bytes(1 << 20))


def crashes(_):
    os.abort()


def leaves(_):
    raise SystemExit(0)


def is_deaf(_):
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


@pytest.mark.sweep(quick=["leaks*", "asks-*", "computes*", "crashes*"])
@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (leaks, "KeyError: 'x'"),
        (warns, "UserWarning: x"),
        (hangs, "takes more than 2.0 s"),
        (computes, "takes more than 2.0 s"),
        (asks, f"asks for more than {MEMORY} bytes"),
        (asks_in_silence, f"asks for more than {MEMORY} bytes"),
        (maps, f"more than {MEMORY}: "),
        (crashes, "ends the interpreter (exit status -6)"),
        (leaves, "SystemExit: 0"),
        (is_deaf, "ends the interpreter (exit status 1)"),
    ],
)
def test_each_fault_is_found_with_its_number(reader, why, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", _path())
    result = fuzz.run("npz", 1, first=7, read=f"test_fuzz:{reader.__name__}", patience=3.0)
    (failure,) = result["failed"]
    assert (failure["case"], failure["seed"]) == (7, 0)
    assert why in failure["why"]


def _path() -> str:
    return os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def test_after_a_crash_the_cases_go_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", _path())
    result = fuzz.run("npz", 3, read="test_fuzz:crashes")
    assert [failure["case"] for failure in result["failed"]] == [0, 1, 2]
    assert fuzz.run("npz", 3, read="test_fuzz:refuses")["refused"] == 3


def test_failures_are_sorted_by_what_and_where(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", _path())
    failed = fuzz.run("folder", 3, read="test_fuzz:leaks")["failed"]
    failed += fuzz.run("folder", 2, read="test_fuzz:warns")["failed"]
    kinds = {kind: len(found) for kind, found in fuzz.kinds(failed).items()}
    assert sorted(kinds.values()) == [2, 3]
    assert all("test_fuzz.py:" in kind for kind in kinds)


def test_samples_that_are_not_read_are_the_fuzzers_fault():
    with pytest.raises(RuntimeError, match="the fuzzer itself fails on npz"):
        fuzz.run("npz", 1, valid=[b"no file"])


@pytest.mark.exhaustive
def test_the_command_goes_on_where_it_was(tmp_path):
    out = tmp_path / "x.json"
    command = [sys.executable, fuzz.__file__, "--door", "spec", "--first", "3", "--json", str(out)]
    more = ["--cases", "5", "--keep", str(tmp_path / "case")]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("spec             5 cases: ")
    assert (tmp_path / "case").read_bytes() == case("spec", DOORS["spec"].valid(), 0, 3)
    subprocess.run([*command, "--cases", "8"], check=True, stdout=subprocess.DEVNULL)
    whole = fuzz.run("spec", 8, first=3)
    found = json.loads(out.read_text())
    assert (found["cases"], found["failed"]) == (8, 0)
    assert {key: found["doors"]["spec"][key] for key in ("cases", "read", "refused")} == {
        key: whole[key] for key in ("cases", "read", "refused")
    }


def test_what_is_told_of_the_record():
    """A million cases are hours: the file is the record, and the page says what is in it."""
    root = Path(__file__).parents[1]
    found = json.loads((root / "benchmarks/results/fuzz.json").read_text())
    doors = found["doors"].values()
    assert found["doors"].keys() == DOORS.keys()
    assert [door for door in doors if door["failed"]] == []
    assert all(door["read"] + door["refused"] == door["cases"] for door in doors)
    slowest = max(door["slowest_seconds"] for door in doors)
    grown = max(door["grown_mib"] for door in doors)
    assert slowest < SECONDS
    assert grown < MEMORY >> 20
    page = (root / "docs/weights.md").read_text()
    assert f"damaged files at {len(doors)} doors" in page
    counts = [sum(door[key] for door in doors) for key in ("cases", "read", "refused")]
    assert "{:,} cases: {:,} read, {:,} refused".format(*counts) in page
    assert f"{slowest:.2f} s and {grown} MiB at most" in page
