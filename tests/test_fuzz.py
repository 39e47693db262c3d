"""A sample of the fuzzer's cases, and proof that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import fuzz
import numpy as np
import pytest

from weights.formats import FORMATS
from zoo.errors import WeightsError


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(name):
    result = fuzz.run(name, cases=400, seed=1)
    assert result["failed"] == []
    assert result["read"] + result["refused"] == 400
    assert result["refused"] > 200  # damage was done


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files_are_read_or_refused(name):
    result = fuzz.run(name, cases=2500, seed=2)
    assert result["failed"] == []


def test_cases_repeat():
    valid = fuzz.samples()["npz"]
    cases = [fuzz.case("npz", valid, 0, number) for number in range(50)]
    assert [fuzz.case("npz", valid, 0, number) for number in range(50)] == cases
    assert len(set(cases)) > 45
    assert fuzz.case("npz", valid, 1, 0) != cases[0]


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


def grows(path):
    try:
        return np.ones(fuzz.MEMORY)
    except MemoryError as error:  # as the registry reports it
        raise WeightsError(f"{path}: damaged npz file (MemoryError: {error})") from None


def crashes(_):
    os.abort()


def is_deaf(_):
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (leaks, "KeyError: 'x'"),
        (warns, "UserWarning: x"),
        (hangs, "takes more than 2.0 s"),
        (grows, f"asks for more than {fuzz.MEMORY} bytes"),
        (crashes, "ends the interpreter (exit status -6)"),
        (is_deaf, "ends the interpreter (exit status 1)"),
    ],
)
def test_each_fault_is_found_with_its_number(reader, why, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (failure,) = fuzz.run("npz", 1, first=7, read=f"test_fuzz:{reader.__name__}")["failed"]
    assert (failure["case"], failure["seed"]) == (7, 0)
    assert why in failure["why"]


def test_after_a_crash_the_cases_go_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    result = fuzz.run("npz", 3, read="test_fuzz:crashes")
    assert [failure["case"] for failure in result["failed"]] == [0, 1, 2]
    assert fuzz.run("npz", 3, read="test_fuzz:refuses")["refused"] == 3


def test_the_command(tmp_path):
    command = [sys.executable, fuzz.__file__, "--format", "npz", "--cases", "5", "--first", "3"]
    command += ["--json", str(tmp_path / "x.json"), "--keep", str(tmp_path / "case")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("npz          5 cases: ")
    assert (tmp_path / "case").read_bytes() == fuzz.case("npz", fuzz.samples()["npz"], 0, 3)
    assert '"failed": []' in (tmp_path / "x.json").read_text()
