"""Several processes and one run: who trains in it is alone, and nothing is written twice."""

from __future__ import annotations

import csv
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from training_material import tiny_data, tiny_recipe

import zoo
from zoo.errors import TrainingError
from zoo.training.alone import alone

PROGRAM = """
    import sys, time
    from pathlib import Path
    from training_material import tiny_data, tiny_recipe
    import zoo

    path, go = Path(sys.argv[1]), Path(sys.argv[2])
    while not go.exists():
        time.sleep(0.01)
    try:
        if (path / "recipe.json").exists():
            zoo.resume(path, data=tiny_data())
        else:
            zoo.train(tiny_recipe(epochs=2), tiny_data(), path, backend="torch")
    except zoo.TrainingError as error:
        print("refused:", error)
    else:
        print("done")
"""


def together(path, count):
    """Return what so many processes print that begin at once."""
    go = path.parent / "go"
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), str(go)]
    tests = str(Path(__file__).parent)
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tests)
        for _ in range(count)
    ]
    time.sleep(0.1)
    go.touch()
    return [process.communicate(timeout=300)[0].strip() for process in started]


def steps_of(path):
    with (path / "steps.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_of_those_that_start_at_once_one_trains(tmp_path):
    told = together(tmp_path / "run", 3)
    assert sorted(text.partition(":")[0] for text in told) == ["done", "refused", "refused"], told
    assert zoo.open_run(tmp_path / "run").finished
    assert steps_of(tmp_path / "run") == list(range(1, 9))
    assert {p.name for p in tmp_path.iterdir()} == {"run", "go"}


def test_of_those_that_go_on_at_once_one_does(tmp_path):
    path = tmp_path / "run"
    zoo.train(tiny_recipe(epochs=1), tiny_data(), path, backend="torch")
    recipe = path / "recipe.json"
    recipe.write_text(zoo.open_run(path).recipe.replace(epochs=2).to_json())
    told = together(path, 2)
    assert sorted(text.partition(":")[0] for text in told) == ["done", "refused"], told
    assert zoo.open_run(path).finished
    assert steps_of(path) == list(range(1, 9))


def test_a_folder_in_use_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "run"
    zoo.train(tiny_recipe(epochs=1), tiny_data(), path, backend="torch")
    (path / "recipe.json").write_text(zoo.open_run(path).recipe.replace(epochs=2).to_json())
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with (
        alone(path),
        pytest.raises(TrainingError, match=r"another process is training in"),
    ):
        zoo.resume(path, data=tiny_data())
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    zoo.resume(path, data=tiny_data())  # the lock has ended
