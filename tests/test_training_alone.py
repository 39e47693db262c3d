"""Several processes and one run: who trains in it is alone, and nothing is written twice."""

from __future__ import annotations

import csv
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from training_material import tiny_data, tiny_recipe

import zoo
from zoo.errors import TrainingError
from zoo.training.alone import alone

# One process imports everything and forks. Who trains goes on when all others have been refused,
# however slow the machine is.
PROGRAM = """
    import multiprocessing, sys
    from pathlib import Path
    from training_material import tiny_data, tiny_recipe
    import lightning_fabric, matplotlib.pyplot, tensorboard.summary.writer.event_file_writer
    import torch, torchvision, zoo

    torch.set_num_threads(1)
    path, count = Path(sys.argv[1]), int(sys.argv[2])
    fork = multiprocessing.get_context("fork")
    start, refused, told = fork.Barrier(count), fork.Event(), fork.Queue()

    def work():
        data = tiny_data()
        more = {"progress": lambda *step: refused.wait()}
        start.wait()
        try:
            if (path / "recipe.json").exists():
                zoo.resume(path, data=data, **more)
            else:
                zoo.train(tiny_recipe(epochs=2), data, path, backend="torch", **more)
        except zoo.TrainingError as error:
            told.put(f"refused: {error}")
        else:
            told.put("done")

    started = [fork.Process(target=work, daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    print(*(told.get(timeout=300) for _ in range(count - 1)), sep="\\n")
    refused.set()
    print(told.get(timeout=300))
    for process in started:
        process.join()
"""


def together(path, count):
    """Return what so many processes tell that begin at once."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(
        [*command, path, str(count)],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def steps_of(path):
    with (path / "steps.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.exhaustive
def test_of_those_that_start_at_once_one_trains(tmp_path):
    told = together(tmp_path / "run", 3)
    assert sorted(text.partition(":")[0] for text in told) == ["done", "refused", "refused"], told
    assert zoo.open_run(tmp_path / "run").finished
    assert steps_of(tmp_path / "run") == list(range(1, 9))
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


@pytest.mark.exhaustive
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
