"""Proof that the comparison of killed runs would notice (tests/killed_runs.py)."""

from __future__ import annotations

import json
from pathlib import Path

import killed_runs
import numpy as np
from fuzzing import samples
from fuzzing.child import put

import zoo


def test_a_bit_and_a_file_too_many_are_noticed(tmp_path):
    (made,) = samples.run()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    put(made, whole)
    put(made, killed)
    assert killed_runs.differing_bits(killed, whole) == 0
    assert killed_runs.files(killed) == killed_runs.files(whole)
    weights = zoo.open_run(killed).last.model
    data = np.frombuffer(weights.read_bytes(), np.uint8).copy()
    data[-1] ^= 5
    weights.write_bytes(data.tobytes())
    assert killed_runs.differing_bits(killed, whole) == 2
    (killed / ".run.json.x.part").touch()
    (tmp_path / ".killed.x.partial").mkdir()
    (killed / "tensorboard").mkdir()
    (killed / "tensorboard" / "events.out.tfevents.1").touch()  # each start has its own
    left = killed_runs.files(killed) - killed_runs.files(whole) - {"tensorboard"}
    assert left == {".run.json.x.part", ".killed.x.partial"}


def test_what_a_process_said_last_outlives_it():
    seen = killed_runs.Seen()
    assert seen.step == 0
    seen.tell("", 7, 9)
    assert seen.step == 7


def test_what_is_told_of_the_record():
    root = Path(__file__).parents[1]
    found = json.loads((root / "benchmarks/results/kills_training.json").read_text())
    page = (root / "docs/training.md").read_text()
    assert found.keys() == {"torch", "mindspore"}
    for name, told in (("torch", "PyTorch"), ("mindspore", "MindSpore")):
        result = found[name]
        assert (result["differing_bits"], result["logs_differ"], result["left_behind"]) == (
            0,
            0,
            [],
        )
        assert result["lost_at_most_an_epoch"]
        assert f"{result['kills']} times in {told}" in page
