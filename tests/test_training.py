"""Runs: what they leave behind, that they go on bit for bit, and what stops them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import threads_of_batches
from training_material import tiny_data, tiny_recipe

import backends
import zoo
from zoo.errors import SpecError, TrainingError, ZooError
from zoo.training import interrupts, state
from zoo.training.loader import shares
from zoo.training.run import load_state

BACKENDS = ("torch", "mindspore")
HERE = Path(__file__).parent


def _final(run: zoo.Run) -> dict[str, np.ndarray]:
    """Return all arrays that a run ends with: weights, optimizer, moving mean."""
    found = load_state(run)
    arrays = {f"weights.{name}": array for name, array in found.weights.items()}
    for slot, values in found.slots.items():
        arrays |= {f"{slot}.{name}": array for name, array in values.items()}
    return arrays | {f"ema.{name}": array for name, array in (found.ema or {}).items()}


def _data(backend: str) -> zoo.Dataset:
    """Return images of which four batches are made; in MindSpore, which compiles for each size of a
    batch, of one size.
    """
    return tiny_data(112, 48) if backend == "torch" else tiny_data(128, 64)


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


@pytest.fixture(scope="module", params=BACKENDS)
def whole(request, tmp_path_factory) -> tuple[str, zoo.Run]:
    """Return a run that was not interrupted, in each framework."""
    folder = tmp_path_factory.mktemp("whole") / request.param
    return request.param, zoo.train(
        tiny_recipe(), _data(request.param), folder, backend=request.param
    )


@pytest.mark.sweep(quick=["torch"])
def test_a_run_leaves_its_recipe_logs_and_checkpoints(whole):
    backend, run = whole
    found = zoo.open_run(run.path)
    assert found.recipe == tiny_recipe()
    assert found.finished
    assert found.info.backend == backend
    assert found.classes == ("crosses", "dots", "stripes")
    assert [row["epoch"] for row in found.epochs] == [1, 2, 3]
    # 112 images in batches of 32: the last has 16 (in MindSpore 128)
    assert [row["step"] for row in found.epochs] == [4, 8, 12]
    assert [row["step"] for row in found.steps] == list(range(1, 13))
    assert found.epochs[-1]["loss"] < found.epochs[0]["loss"]
    assert found.last.epoch == 3
    assert found.best.epoch == max(found.epochs, key=lambda row: row["val_top1"])["epoch"]
    assert {saved.epoch for saved in found.checkpoints} == {found.best.epoch, 3}
    assert list((run.path / "tensorboard").iterdir())
    rates = [row["lr"] for row in found.steps]
    assert max(rates) == pytest.approx(0.05)
    assert rates[-1] < 1e-3


@pytest.mark.sweep(quick=["torch"])
def test_what_is_saved_is_what_was_evaluated(whole):
    backend, run = whole
    test = _data(backend).test
    for other in ("numpy", *BACKENDS):
        model = zoo.load(run.last.model, backend=other)
        x = np.stack(
            [np.asarray(test.images.picture(i)).transpose(2, 0, 1) for i in range(len(test))]
        )
        (normalize,) = run.recipe.evaluate
        mean, std = (np.array(v).reshape(3, 1, 1) for v in (normalize.mean, normalize.std))
        (logits,) = backends.load(other).predict(
            model,
            ((x / 255 - mean) / std).astype(np.float32),
        )
        top1 = 100 * float((logits.argmax(1) == test.labels).mean())
        assert top1 == pytest.approx(run.epochs[-1]["val_top1"]), other


@pytest.mark.sweep(quick=["torch"])
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(whole, tmp_path, monkeypatch):
    backend, run = whole
    flags = []
    # in an epoch, at the end of one, and in the last; MindSpore compiles anew each time
    stops = [3, 4, 9] if backend == "torch" else [3]
    steps = np.diff([0, *stops])

    class Asked(interrupts.Interrupt):
        """Asks to stop after these steps."""

        def __init__(self):
            self.count = 0
            flags.append(self)

        @property
        def asked(self):
            self.count += 1
            return len(flags) <= len(steps) and self.count >= steps[len(flags) - 1]

    monkeypatch.setattr(interrupts, "Interrupt", Asked)
    with pytest.raises(KeyboardInterrupt):
        zoo.train(tiny_recipe(), _data(backend), tmp_path / "run", backend=backend)
    assert zoo.open_run(tmp_path / "run").last.step == 3
    found = [3]
    while not zoo.open_run(tmp_path / "run").finished:
        try:
            zoo.resume(tmp_path / "run", data=_data(backend))
        except KeyboardInterrupt:
            found.append(zoo.open_run(tmp_path / "run").last.step)
    assert found == stops
    again = zoo.open_run(tmp_path / "run")
    assert _same(_final(again), _final(run))
    assert again.steps == run.steps
    columns = ("loss", "top1", "val_loss", "val_top1", "val_top5", "lr")
    assert [[row[c] for c in columns] for row in again.epochs] == [
        [row[c] for c in columns] for row in run.epochs
    ]
    # the negative control: a run with another seed ends elsewhere
    other = zoo.train(
        tiny_recipe(seed=1, epochs=1), _data(backend), tmp_path / "other", backend=backend
    )
    assert not _same(_final(other), _final(run))


EXTRAS = (
    {"accumulate": 2, "clip_norm": 1.0},
    {"optimizer": {"name": "adam", "lr": 0.003, "weight_decay": 0.01, "decoupled": True}},
    {"mix": {"mixup": 0.4, "cutmix": 1.0, "p": 0.7}, "drop_last": True},
    {"schedule": {"name": "one_cycle"}, "clip_value": 0.1, "ema": None},
    {"schedule": {"name": "cosine", "warmup_epochs": 1}, "optimizer.nesterov": False},
    {
        "network": "shufflenet_v2_0.5x_cifar",
        "overrides": {"num_classes": 3, "image_size": 16, "dropout": 0.4},
    },
)
# Mixing, schedules and the mean are the loop's, whatever takes the steps; MindSpore compiles for
# seconds each time.
WITH_EXTRAS = [("torch", extra) for extra in EXTRAS] + [
    ("mindspore", extra) for extra in EXTRAS[:2]
]


@pytest.mark.sweep(quick=["torch-*"])
@pytest.mark.parametrize(
    ("backend", "changes"), WITH_EXTRAS, ids=[f"{b}-{'+'.join(c)}" for b, c in WITH_EXTRAS]
)
def test_everything_that_a_recipe_may_have_goes_on_bit_for_bit(backend, changes, tmp_path):
    tiny = tiny_recipe(epochs=2, keep=2, **changes)
    run = zoo.train(tiny, tiny_data(64, 32), tmp_path / "run", backend=backend)
    half = tmp_path / "half"
    # as if it had been killed after the first epoch
    for name in ("recipe.json", "run.json", "epochs.csv", "steps.csv"):
        half.mkdir(exist_ok=True)
        (half / name).write_bytes((run.path / name).read_bytes())
    (half / "checkpoints").mkdir()
    os.rename(run.path / "checkpoints/epoch-0001", half / "checkpoints/epoch-0001")
    again = zoo.resume(half, data=tiny_data(64, 32))
    assert _same(_final(again), _final(run))
    assert again.steps == run.steps


@pytest.mark.exhaustive
def test_killing_a_run_at_any_moment_loses_at_most_an_epoch(tmp_path):
    """SIGKILL at 20 random moments, between which the run goes on; then it ends as if unharmed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, HERE / "killed_runs.py", tmp_path, "20"],
        env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kills"] == 20
    assert report["lost_at_most_an_epoch"]
    assert (report["differing_bits"], report["logs_differ"]) == (0, 0)
    assert report["left_behind"] == []
    assert _same(
        _final(zoo.open_run(tmp_path / "killed")), _final(zoo.open_run(tmp_path / "whole"))
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize(("first", "second"), [BACKENDS, BACKENDS[::-1]])
def test_a_run_goes_on_in_another_framework(first, second, tmp_path):
    # Plain steps, few of them: what differs is rounding, which grows from step to step.
    tiny = tiny_recipe(
        epochs=2, keep=2, ema=None, batch_size=32,
        schedule={"name": "constant"}, **{"optimizer.lr": 0.01},
    )  # fmt: skip
    data = tiny_data(64, 32)
    run = zoo.train(tiny, data, tmp_path / "run", backend=first)
    moved = tmp_path / "moved"
    zoo.train(tiny.replace(epochs=1), data, moved, backend=first)
    (moved / "recipe.json").write_text(tiny.to_json())
    again = zoo.resume(moved, data=data, backend=second)
    (told,) = again.info.resumed
    assert told == {"backend": second, "step": 2, **backends.load(second).describe()}
    there, here = _final(run), _final(again)
    start = load_state_at(run, 1)

    def far(arrays, name):
        return float(np.abs(arrays[name] - there[name]).max())

    trained = [n for n in there if n.startswith("weights.") and "running" not in n]
    way = max(float(np.abs(there[n] - start[n]).max()) for n in trained if n in start)
    off = max(far(here, name) for name in trained)
    # Measured: 0.1 % of the way one way round, 0.8 % the other: from initial weights a ReLU that
    # flips by rounding moves a few parameters.
    assert off < 2e-2 * way
    # the negative control: the same, but the optimizer forgets its momentum
    forgetful = tmp_path / "forgetful"
    zoo.train(tiny.replace(epochs=1), data, forgetful, backend=first)
    found = zoo.open_run(forgetful)
    kept = load_state(found)
    kept.slots = {s: {n: 0 * a for n, a in v.items()} for s, v in kept.slots.items()}
    state.save(found.last.path, kept, tiny.spec)
    (forgetful / "recipe.json").write_text(tiny.to_json())
    lost = _final(zoo.resume(forgetful, data=data, backend=second))
    assert max(far(lost, name) for name in trained) > 10 * off


def test_a_run_that_goes_on_with_other_threads_says_so(tmp_path, caplog):
    """Sums of several threads are of other parts, and round otherwise."""
    run = zoo.train(tiny_recipe(epochs=1), tiny_data(64, 32), tmp_path / "run")
    assert not caplog.messages
    threads = torch.get_num_threads()
    try:
        # The epochs to go on to, the threads, and those that a warning tells of.
        more = threads + 1
        for epochs, now, was in ((2, threads, None), (3, more, threads), (4, more, None)):
            (run.path / "recipe.json").write_text(tiny_recipe(epochs=epochs).to_json())
            torch.set_num_threads(now)
            caplog.clear()
            zoo.resume(run.path, data=tiny_data(64, 32))
            assert caplog.messages == [
                f"{run.path}: threads (={now}) was {was}; the bits may differ from those of a run "
                "that was not interrupted"
            ] * (was is not None)
    finally:
        torch.set_num_threads(threads)
    # Of a run of before, that did not say it, nothing is known.
    file = run.path / "run.json"
    told = json.loads(file.read_text())
    told |= {"resumed": [{"backend": "torch", "step": 2}], "versions": {}}
    file.write_text(json.dumps(told))
    (run.path / "recipe.json").write_text(tiny_recipe(epochs=5).to_json())
    caplog.clear()
    zoo.resume(run.path, data=tiny_data(64, 32))
    assert not caplog.messages


def test_a_checkpoint_that_is_saved_again_takes_the_place_of_the_first(tmp_path):
    """As that of a run which is stopped, goes on, and is stopped before it takes a step."""
    run = zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "run")
    before = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    kept = load_state(run)
    kept.sums = [1.0, 2.0, 3.0]
    state.save(run.last.path, kept, run.recipe.spec)
    assert load_state(run).sums == kept.sums
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == before


def load_state_at(run: zoo.Run, epoch: int) -> dict[str, np.ndarray]:
    """Return the weights after an epoch of a run that kept them."""
    (saved,) = [saved for saved in run.checkpoints if saved.epoch == epoch]
    found = state.load(saved.path, run.recipe.spec)
    return {f"weights.{name}": array for name, array in found.weights.items()}


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(tmp_path):
    tiny = tiny_recipe(
        **{"optimizer.lr": 1e25, "schedule": {"name": "constant", "warmup_epochs": 0}},
        clip_norm=None,
    )
    with pytest.raises(TrainingError, match=r"epoch 1, step \d+: the loss is (nan|inf) at a lear"):
        zoo.train(tiny, tiny_data(), tmp_path / "run", backend="torch")
    # in the first epoch there is what the run started from
    (saved,) = zoo.open_run(tmp_path / "run").checkpoints
    assert (saved.epoch, saved.step) == (0, 0)
    late = zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "late")
    (late.path / "recipe.json").write_text(tiny.to_json())
    with pytest.raises(TrainingError, match=r"the last good checkpoint is .*epoch-0001"):
        zoo.resume(late.path, data=tiny_data())
    assert zoo.load(zoo.open_run(late.path).last.model, backend="numpy")


def test_outputs_that_are_not_finite_stop_too(tmp_path, monkeypatch):
    # A mean of weights, or statistics of a batch norm, may be broken where the loss is not.
    def broken(model, images):
        return (np.full((len(images), 3), np.nan, np.float32),)

    monkeypatch.setattr(backends.load("torch"), "predict", broken)
    message = r"epoch 1, step 4: the outputs for test images are not finite; .*epoch-0000"
    with pytest.raises(TrainingError, match=message):
        zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "run", backend="torch")


def test_a_full_disk_leaves_the_checkpoints_before_it(tmp_path, monkeypatch):
    run = zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "run")
    (run.path / "recipe.json").write_text(tiny_recipe(epochs=2).to_json())
    before = {p: p.read_bytes() for p in run.last.path.iterdir()}
    real = os.fsync
    written = []

    def full(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}")
        if "state.safetensors" in name:  # what comes before it still fits
            written.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError) as caught:
        zoo.resume(run.path, data=tiny_data())
    assert "the checkpoint cannot be written" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert threads_of_batches() == []  # though the error, and its traceback, are still here
    assert written
    assert {p: p.read_bytes() for p in run.last.path.iterdir()} == before
    assert [p.name for p in (run.path / "checkpoints").iterdir()] == ["epoch-0001"]


def _without(**parts: object):
    data = tiny_data()
    return type(data)("patterns", **{"train": data.train, "test": data.test, **parts})


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "text"),
    [
        ({}, {"backend": "onnx"}, SpecError, "backend 'onnx' cannot train: mindspore or torch can"),
        ({}, {"backend": "tensorflow"}, ZooError, "unknown backend 'tensorflow'"),
        ({}, {"pipeline": "dali"}, ZooError, "unknown pipeline 'dali'"),
        ({}, {"workers": -1}, SpecError, "workers (=-1) must be at least 0"),
        (
            {"overrides.num_classes": 10},
            {},
            TrainingError,
            "the data have 3 classes, the network 10: --set overrides.num_classes=3 makes it fit",
        ),
        ({}, {"data": _without(train=None)}, TrainingError, "patterns: has no training images"),
        (
            {"batch_size": 128, "drop_last": True},
            {},
            TrainingError,
            "batch_size (=128) must be at most the 112 images, or drop_last be false",
        ),
        ({}, {"weights": "missing.pth"}, ZooError, "missing.pth"),
        ({"network": "resnet9", "overrides": {}}, {}, ZooError, ""),
    ],
)
def test_what_can_not_be_trained_is_told_before_anything_is_written(
    changes, arguments, error, text, tmp_path
):
    folder = tmp_path / "run"
    arguments = {"data": tiny_data(), **arguments}
    with pytest.raises(error) as caught:
        zoo.train(tiny_recipe(**changes), arguments.pop("data"), folder, **arguments)
    assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_are_not_written_over(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(TrainingError, match=r"\.: is the folder that this runs in; give one ins"):
        zoo.train(tiny_recipe(), tiny_data(), ".")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("do not lose")
    with pytest.raises(TrainingError, match="mine: exists and is kept; give another folder, or go"):
        zoo.train(tiny_recipe(), tiny_data(), tmp_path / "mine")
    with pytest.raises(TrainingError, match=r"mine: is no run: it has no recipe\.json"):
        zoo.resume(tmp_path / "mine")
    run = zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "run")
    with pytest.raises(TrainingError, match="run: all 1 epochs are done"):
        zoo.resume(run.path, data=tiny_data())
    # a checkpoint of another network
    other = tiny_recipe(epochs=2, **{"overrides.stage_channels": [48, 96, 384]})
    (run.path / "recipe.json").write_text(other.to_json())
    with pytest.raises(TrainingError, match="the checkpoint cannot be gone on from: "):
        zoo.resume(run.path, data=tiny_data())
    (run.path / "recipe.json").write_text("{")
    with pytest.raises(TrainingError, match="run: the run cannot be read: "):
        zoo.open_run(run.path)


def test_shares_are_equal_and_are_the_batch():
    order = np.random.default_rng(0).permutation(103)
    for world in (1, 2, 3):
        taken = [shares(order, 24, rank, world, drop_last=False) for rank in range(world)]
        for number, parts in enumerate(zip(*taken, strict=True)):
            assert len({len(part) for part in parts}) == 1
            batch = order[24 * number : 24 * number + 24]
            assert list(np.concatenate(parts)) == list(batch[: len(batch) // world * world])
    assert len(shares(order, 24, 0, 1, drop_last=True)) == 4


@pytest.mark.exhaustive
def test_two_processes_train_as_one_that_accumulates(tmp_path):
    """`torchrun` on loopback; each half of a batch has its own batch statistics in both."""
    script = HERE / "parallel_run.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        script, tmp_path / "two",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = zoo.open_run(tmp_path / "two")
    assert [row["step"] for row in two.steps] == [1, 2, 3, 4]
    one = zoo.train(
        tiny_recipe(epochs=1, accumulate=2), tiny_data(), tmp_path / "one", backend="torch"
    )
    alone = zoo.train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "alone", backend="torch")
    losses = [[row["loss"] for row in run.steps] for run in (two, one, alone)]
    assert losses[0][0] == pytest.approx(losses[1][0], abs=0.2)  # a rank tells its own half's
    finals = [_final(run) for run in (two, one, alone)]
    trained = [n for n in finals[0] if n.startswith("weights.") and "running" not in n]

    def far(a, b):
        return max(float(np.abs(a[name] - b[name]).max()) for name in trained)

    assert far(finals[0], finals[1]) < 1e-4
    # the negative control: batch statistics of whole batches lead elsewhere
    assert far(finals[0], finals[2]) > 10 * far(finals[0], finals[1])


@pytest.mark.exhaustive
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    """The command, a real signal, and the command that it tells."""
    data = tiny_data(112, 48)
    np.savez(
        tmp_path / "patterns.npz",
        **{
            f"{k}_{part}": v
            for part, split in (("train", data.train), ("test", data.test))
            for k, v in (("x", split.images.pixels), ("y", split.labels))
        },
    )
    (tmp_path / "tiny.json").write_text(tiny_recipe(epochs=4000, ema=None).to_json())
    command = [sys.executable, "-m", "zoo"]
    arguments = [
        "train", tmp_path / "tiny.json", "--data", tmp_path / "patterns.npz", "--out",
        tmp_path / "run",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "run").glob("checkpoints/epoch-*")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"stopped and saved; zoo train --resume {tmp_path / 'run'} goes on".encode() in told
    found = zoo.open_run(tmp_path / "run")
    assert found.last.step == found.steps[-1]["step"]
