"""`zoo bench`: what it measures, what it refuses, and what becomes of engines that fail."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import backends
import zoo
from weights import randomize, save_weights
from zoo import cli
from zoo.bench import engine as engines
from zoo.bench.engine import Engine, EngineError, Turn, speeds, take_turns, undisturbed
from zoo.bench.measurement import Contender, Failure
from zoo.bench.work import prepare
from zoo.bench.worker import Job

NAME = "shufflenet_v1_0.5x_g3"
NUMPY, TORCH = Contender("numpy", optimized=False), Contender("torch", optimized=False)


def run(*args):
    return CliRunner().invoke(cli.app, ["bench", NAME, "--image-size", "32", *args])


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Let processes that are started find another PyTorch, whose import runs this code."""

    def fake(code: str) -> None:
        folder = tmp_path / "fake" / "torch"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(folder.parent)

    return fake


@pytest.fixture
def work(tmp_path):
    """Return the work of a small network."""
    folder = tmp_path / "work"
    folder.mkdir()
    return prepare(folder, zoo.spec(NAME, image_size=32), None, seed=0)


@pytest.mark.exhaustive
def test_a_benchmark_of_two_engines(tmp_path):
    report = zoo.benchmark(
        NAME, backends=["torch", "numpy"], batches=[1], seconds=0.05, threads=1, image_size=32
    )
    assert report.failures == ()
    labels = [row.form.label for row in report.measurements]
    assert labels == ["torch", "torch (optimized)", "numpy", "numpy (optimized)"]
    rows = dict(zip(labels, report.measurements, strict=True))
    assert rows["torch"].speed == 1
    assert 0 < rows["torch"].error < 5e-6
    assert 0 < rows["torch (optimized)"].error < 5e-6
    assert rows["numpy"].error < 1e-12
    assert 0 < rows["numpy (optimized)"].error < 5e-6  # its folded filters are rounded
    # PyTorch alone is hundreds of MiB; each process is measured by itself.
    assert rows["torch"].peak_bytes > 3 * rows["numpy"].peak_bytes > 3 * 20 * 2**20
    for row in rows.values():
        low, high = row.quartiles
        assert 0 < low <= row.seconds <= high
        assert row.first_run_seconds > 0 < row.build_seconds
        assert row.images_per_second == 1 / row.seconds
    assert report.engines["torch"]["version"] == __import__("torch").__version__
    assert report.engines["torch"]["threads"] == "1"
    report.save(tmp_path / "report.json")
    fields = json.loads((tmp_path / "report.json").read_text())
    assert [row["label"] for row in fields["measurements"]] == labels
    assert fields["made_with"]["image_size"] == [32, 32]
    assert fields["made_with"]["machine"]["cpu"]


def test_the_command_prints_a_table_and_writes_its_files(tmp_path):
    files = [tmp_path / "report.json", tmp_path / "chart.png"]
    files[0].write_text("old")
    result = run(
        "--backends", "numpy", "--no-optimize", "--batch", "2,1", "--seconds", "0.01",
        "--json", str(files[0]), "--chart", str(files[1]),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{NAME}, 32×32, float32" in result.stdout
    assert result.stdout.index("batch 1") < result.stdout.index("batch 2")
    assert "█" in result.stdout
    assert f"numpy {np.__version__}" in result.stdout
    assert "first call: build, compile and first run, after the framework was" in result.stdout
    assert [row["batch"] for row in json.loads(files[0].read_text())["measurements"]] == [1, 2]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_weights_of_a_file_are_what_is_measured(tmp_path, work):
    """And the negative control: an engine that computes something else has a large error."""
    spec = zoo.spec(NAME, image_size=32)
    other = tmp_path / "other.safetensors"
    weights = randomize(spec.graph)
    weights["stage4.3.expand.bn.weight"][7] += 1  # one channel of one unit
    save_weights(other, spec, weights)
    mine = prepare(tmp_path, spec, randomize(spec.graph), seed=0)
    for network, wrong in ((mine.network, False), (other, True)):
        job = dataclasses.replace(mine, network=network).job(NUMPY, 6, None)
        Engine(job).close()
        assert (mine.error(job) > 1e-4) == wrong
    logits = np.load(job.arguments["logits"])
    np.save(job.arguments["logits"], np.where(np.arange(1000) == 3, np.nan, logits))
    assert mine.error(job) == float("inf")


def test_images_of_a_batch_may_not_be_swapped(work):
    job = work.job(NUMPY, 6, None)
    Engine(job).close()
    assert work.error(job) < 1e-12
    np.save(job.arguments["logits"], np.load(job.arguments["logits"])[[0, 1, 2, 3, 5, 4]])
    assert work.error(job) > 1e-3


BROKEN = {
    "raise ImportError('libgone.so: no such file')": "backend 'torch': 'torch' is installed but "
    "cannot be imported (libgone.so: no such file); pip install 'parity-zoo[torch]' installs "
    "versions that fit together",
    "raise OSError('wrong libc')": "OSError: wrong libc",
    "import os; os.abort()": "the process was ended by SIGABRT",
    "import sys; sys.exit('no license')": "the process was ended with status 1: no license",
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.items())
def test_why_an_engine_does_not_start(fake, work, code, reason):
    fake(code)
    with pytest.raises(EngineError) as error:
        Engine(work.job(TORCH, 1, None))
    assert str(error.value) == reason


def test_a_broken_engine_is_told_of_and_the_others_are_measured(fake):
    fake("raise OSError('wrong libc')")
    result = run("--backends", "torch,numpy", "--no-optimize", "--batch", "1", "--seconds", "0.01")
    assert result.exit_code == 1
    assert "torch, batch 1: failed: OSError: wrong libc\n" in result.stdout
    assert "numpy is the fastest" in result.stdout


def test_an_engine_that_hangs_is_given_up(fake, work):
    fake("import time; time.sleep(60)")
    with pytest.raises(EngineError, match=r"^no answer within 0\.5 s$"):
        Engine(work.job(TORCH, 1, None), timeout=0.5)


def test_a_process_serves_what_any_factory_makes(tmp_path, monkeypatch):
    (tmp_path / "factories.py").write_text(
        "def adding(*, first):\n"
        "    def served(seconds, second):\n"
        "        return {'times': [seconds], 'sum': first + second}\n"
        "    return served, {'first': first}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    engine = Engine(Job("factories:adding", {"first": 40}))
    assert engine.started == {"first": 40}
    turn = engine.run(0.5, second=2)
    assert (turn.times, turn.account["sum"]) == ([0.5], 42)
    with pytest.raises(EngineError, match=r"^TypeError: .* unexpected .* 'third'$") as error:
        engine.run(0.5, third=2)
    assert error.value.log.startswith("Traceback")
    engine.close()
    with pytest.raises(EngineError, match=r"^AttributeError: module 'factories' has no .*'other'$"):
        Engine(Job("factories:other", {}))


def test_ratios_are_taken_within_quiet_rounds():
    ours = {0: Turn([1.0], 0.0), 1: Turn([1.0], 0.9), 2: Turn([2.0, 4.0, 6.0], 0.0)}
    theirs = {1: Turn([9.0], 0.0), 2: Turn([6.0], 0.0), 3: Turn([1.0], 0.0)}
    assert speeds(ours, theirs) == ([1.5], 2, 1)
    assert undisturbed(ours) == [ours[0], ours[2]]
    noisy = {1: ours[1]}
    assert speeds(noisy, theirs) == ([9.0], 1, 0)
    assert undisturbed(noisy) == [ours[1]]


def test_the_summary_names_what_is_not_to_be_believed():
    row = zoo.Measurement(
        form=NUMPY, batch=2, seconds=0.01, quartiles=(0.01, 0.02), calls=9, rounds={0: 0.01},
        taken={0: 0.0}, speed=1.0, speed_range=(1.0, 1.0), peak_bytes=1, import_seconds=1.0,
        build_seconds=1.0, first_run_seconds=1.0, error=1e-7,
    )  # fmt: skip
    wrong = dataclasses.replace(row, form=TORCH, seconds=0.02, taken={0: 0.7}, error=float("inf"))
    failure = Failure(TORCH, 4, "out of memory")
    report = zoo.BenchmarkReport("net", {}, {}, {}, (row, wrong), (failure,))
    assert report.summary().splitlines() == [
        "net, batch 2: numpy is the fastest, 10.00 ms, 200.0 images/s",
        "torch, batch 2: the error (=inf) is more than float32 makes (at most 1e-04)",
        "other programs kept processors busy (fewer threads leave them room); not to be relied on: "
        "torch at batch 2",
        "torch, batch 4: failed: out of memory",
    ]
    assert json.loads(report.to_json())["measurements"][1]["error"] == "inf"


class Fake:
    """An engine that notes its turns in a list."""

    def __init__(self, name, notes, seconds=0.01, taken=(), fails_at=None):
        self.name, self.notes, self.seconds = name, notes, seconds
        self.taken, self.fails_at = list(taken), fails_at

    def run(self, seconds):
        self.notes.append(self.name)
        if self.notes.count(self.name) == self.fails_at:
            raise EngineError("out of memory")
        return Turn([self.seconds], self.taken.pop(0) if self.taken and seconds else 0.0)


def test_engines_take_turns_back_and_forth(monkeypatch):
    monkeypatch.setattr(engines, "PAUSE", 0)
    notes, failures = [], []
    turns = take_turns(
        {
            "a": Fake("a", notes),
            "slow": Fake("slow", notes, seconds=9.0),
            "bad": Fake("bad", notes, fails_at=3),
        },
        seconds=1.0,
        rounds=3,
        failed=lambda key, error: failures.append((key, str(error))),
    )
    assert notes == ["bad", "slow", "a", "a", "slow", "bad", "bad", "a", "a"]
    assert failures == [("bad", "out of memory")]
    assert {key: list(taken) for key, taken in turns.items()} == {"a": [0, 1, 2], "slow": [0]}


def test_a_disturbed_turn_is_repeated_and_the_quietest_counts(monkeypatch):
    monkeypatch.setattr(engines, "PAUSE", 0)
    notes = []
    turns = take_turns(
        {"a": Fake("a", notes, taken=[0.9, 0.3, 0.6, 0.5, 0.05])},
        seconds=1.0,
        rounds=2,
        failed=pytest.fail,
    )
    assert [turn.taken for turn in turns["a"].values()] == [0.3, 0.05]
    assert [turn.quiet for turn in turns["a"].values()] == [False, True]
    assert len(notes) == 1 + 3 + 2


def test_no_library_is_loaded_before_the_process_is_limited():
    """Thread pools are made when libraries are loaded, for as many processors as there are then."""
    code = "import sys, zoo.bench.worker; print(sorted({'numpy', 'psutil'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


CORES = len(__import__("os").sched_getaffinity(0))
ERRORS = [
    (["nope"], "zoo: unknown model 'nope'; known: "),
    ([NAME, "--backends", "torhc"], "zoo: unknown backend 'torhc'; did you mean 'torch'?"),
    ([NAME, "--backends", ","], "zoo: backends must name at least one backend"),
    ([NAME, "--batch", "1,0"], "zoo: batch (=0) must be a whole number of at least 1"),
    ([NAME, "--batch", "1,x"], "zoo: --batch: 'x' must be a whole number of at least 1"),
    ([NAME, "--batch", ""], "zoo: batches must name at least one batch size"),
    ([NAME, "--image-size", "0"], "zoo: image_size (=0) must be a whole number of at least 1"),
    (["resnet9", "--image-size", "4"], "zoo: conv4.pool: kernel_size (=(2, 2)) must fit the padded "
     "input (=(1, 1), shape (1, 512, 1, 1))"),
    ([NAME, "--threads", "0"], f"zoo: threads (=0) must be from 1 to {CORES}, the processors that"),
    ([NAME, "--seconds", "0"], "zoo: seconds (=0) must be more than 0"),
    ([NAME, "--seconds", "nan"], "zoo: seconds (=nan) must be more than 0"),
    ([NAME, "--weights", "gone.pth"], "zoo: gone.pth: no such file, and no published weights ("),
    ([NAME, "--json", "/nowhere/a.json"],
     "zoo: /nowhere/a.json: the folder /nowhere does not exist"),
    ([NAME, "--json", "a.txt"], "zoo: a.txt: the suffix must be .json"),
    ([NAME, "--chart", "a.pdf"], "zoo: a.pdf: the suffix must be .png"),
    ([NAME, "--backends", "mindspore"], "zoo: backend 'mindspore' needs the package 'mindspore', "
     "which is not installed: pip install 'parity-zoo[mindspore]'"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), ERRORS)
def test_errors_are_one_line_and_nothing_is_started(args, message, monkeypatch, capsys):
    def missing(name, *rest):
        return None if name == "mindspore" else found(name, *rest)

    found = backends.registry.importlib.util.find_spec
    monkeypatch.setattr(backends.registry.importlib.util, "find_spec", missing)
    monkeypatch.setattr("zoo.bench.run.Engine", lambda job: pytest.fail("started"))
    monkeypatch.setattr(sys, "argv", ["zoo", "bench", *args])
    with pytest.raises(SystemExit) as error:
        cli.main()
    assert error.value.code == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(message)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    from zoo.output import require_writable, write

    (tmp_path / "a.json").write_text("old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(zoo.ZooError, match=r"a\.json: cannot be written: disk full$"):
        write(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(zoo.ZooError, match=r"folder\.png: is a folder, not a file$"):
        require_writable(tmp_path / "folder.png", ".png")
