"""MindSpore's trainer: its dropout, float16, what it refuses, and other processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trainer_material import (
    MOMENTUM,
    RESTORED,
    SGD_PLAIN,
    STEPS,
    TOGETHER,
    TOLERANCE,
    farthest,
    same,
    small_batches,
    small_network,
    small_recipe,
    small_weights,
    steps_of,
)

import backends
from zoo.arch.builder import GraphBuilder
from zoo.errors import InputError, SpecError

WORKER = Path(__file__).with_name("trainer_worker_mindspore.py")


@pytest.fixture(scope="module")
def engine():
    return backends.load("mindspore")


@pytest.mark.exhaustive
def test_another_process_goes_on_bit_for_bit(engine, tmp_path):
    optimizer, changes, momenta = RESTORED["adam"]
    graph = small_network(dropout=0.4)
    weights, batches = small_weights(graph), small_batches(STEPS)
    trainer = engine.trainer(graph, weights, small_recipe(optimizer, **changes))
    steps_of(trainer, batches, momenta)
    subprocess.run(
        [sys.executable, WORKER, "resume", tmp_path / "after.npz"],
        check=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert same(dict(np.load(tmp_path / "after.npz")), trainer.weights())


@pytest.mark.sweep(quick=["0.6"])
@pytest.mark.parametrize("p", [0.2, 0.6])
def test_dropout_is_independent_draws_with_the_right_rate(graph_mode, p):
    import mindspore as ms

    from backends.mindspore.training_layers import Dropout, make_key, set_key

    key = make_key()
    first, second = Dropout(p, key, 0), Dropout(p, key, 1)
    ones = ms.Tensor(np.ones((64, 512), np.float32))
    drawn = []
    for step in range(3):
        set_key(key, 0, step)
        drawn += [first(ones).asnumpy().copy(), second(ones).asnumpy().copy()]
    spread = (p * (1 - p)) ** 0.5
    for values in drawn:
        np.testing.assert_allclose(np.unique(values), [0, 1 / (1 - p)], rtol=1e-6)
        zeros = values == 0
        assert zeros.mean() == pytest.approx(p, abs=5 * spread / zeros.size**0.5)
        assert zeros.mean(1).std() == pytest.approx(spread / 512**0.5, rel=0.4)
        assert zeros.mean(0).std() == pytest.approx(spread / 64**0.5, rel=0.2)
    flat = np.array([values.ravel() for values in drawn])
    flat = np.concatenate([flat, np.roll(flat, 1, axis=1)])  # and with their neighbors
    apart = np.corrcoef(flat) - np.eye(len(flat))
    assert abs(apart).max() < 5 / flat.shape[1] ** 0.5
    # Its gradient goes through what is kept, and the same draws.
    slope = ms.grad(first)(ones).asnumpy()
    np.testing.assert_array_equal(slope, drawn[4])


def test_networks_without_dropout_draw_nothing(engine):
    graph = small_network()
    assert engine.trainer(graph, small_weights(graph), small_recipe(MOMENTUM))._key is None


def test_several_dropouts_share_a_key_and_draw_each_by_itself(engine):
    from mindspore import Tensor

    from backends.mindspore.training_layers import Dropout, prepare, set_key

    g = GraphBuilder(3, 8)
    x = g.dropout(g.dropout(g.input, 0.5, name="first"), 0.25, name="second")
    graph = g.build(g.linear(g.flatten(g.global_avg_pool(x)), 4, bias=True, name="linear"))
    network = engine.build(graph)
    key = prepare(network, graph, "float32")
    found = [cell for cell in network.cells() if isinstance(cell, Dropout)]
    x = Tensor(np.ones((2, 3, 8, 8), np.float32))
    set_key(key, 0, 0)
    first, second = ((cell.set_train()(x).asnumpy() > 0) for cell in found)
    set_key(key, 0, 1)  # which both of them follow
    again = [cell(x).asnumpy() > 0 for cell in found]
    assert (first != second).any()
    assert (first != again[0]).any()
    assert (second != again[1]).any()


@pytest.mark.exhaustive
def test_float16_is_near_and_bfloat16_is_refused(engine):
    graph = small_network()
    weights, batches = small_weights(graph), small_batches(STEPS)
    found = {}
    for precision in ("float32", "float16"):
        recipe = small_recipe(MOMENTUM, precision=precision, loss_scale=1024.0)
        trainer = engine.trainer(graph, weights, recipe)
        steps_of(trainer, batches)
        found[precision] = trainer.weights()
    assert all(array.dtype == np.float32 for array in found["float16"].values())
    assert 10 * TOLERANCE < farthest(found["float16"], found["float32"], weights) < 0.05
    with pytest.raises(SpecError) as caught:
        engine.trainer(graph, weights, small_recipe(MOMENTUM, precision="bfloat16"))
    assert str(caught.value) == (
        "precision (=bfloat16): MindSpore cannot train in it on a CPU (no convolution, batch "
        "norm or pool takes it); use float32"
    )


@pytest.mark.exhaustive
def test_a_loss_scale_saves_what_float16_would_lose(engine):
    graph = small_network()
    weights, ((images, targets),) = small_weights(graph), small_batches(1)
    # What the classifier hands back to the layers before it is too small for float16.
    weights["head.weight"] *= np.float32(1e-5)
    moved = {}
    for precision, scale in (("float32", 1.0), ("float16", 1.0), ("float16", 2.0**14)):
        recipe = small_recipe(SGD_PLAIN, precision=precision, loss_scale=scale)
        trainer = engine.trainer(graph, weights, recipe)
        trainer.step(images, targets, lr=1e4, momentum=None)
        moved[precision, scale] = trainer.weights()["first.weight"] - weights["first.weight"]
    right = moved.pop(("float32", 1.0))
    off = [np.linalg.norm(found - right) / np.linalg.norm(right) for found in moved.values()]
    assert off[0] > 0.9
    assert off[1] < 0.2


def test_batches_that_do_not_fit_are_refused_before_anything_changes(engine):
    graph = small_network()
    weights, ((images, targets),) = small_weights(graph), small_batches(1)
    trainer = engine.trainer(graph, weights, small_recipe(MOMENTUM))
    wrong = {
        "targets: shape (12, 4) must be (12, 5): a probability for each image and class": (
            images, targets[:, :4],
        ),
        "images (=0) must be at least 1": (images[:0], targets[:0]),
        "input: channels (=2) must be 3, (N, 3, H, W), 8x8 nominally; got shape (12, 2, 8, 8)": (
            images[:, :2], targets,
        ),
        "norm: values per channel (=1) must be at least 2 in training; got images of shape "
        "(1, 3, 2, 2), taken in 1 part(s)": (images[:1, :, :2, :2], targets[:1]),
    }  # fmt: skip
    for text, (x, y) in wrong.items():
        with pytest.raises(InputError) as caught:
            trainer.step(x, y, lr=0.1, momentum=None)
        assert str(caught.value) == text
    assert same(trainer.weights(), weights)
    assert trainer.steps == 0


@pytest.mark.exhaustive
def test_two_processes_take_the_steps_of_one(engine, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    place = Path(sys.executable).parent
    done = subprocess.run(
        [
            place / "msrun", "--worker_num=2", "--local_worker_num=2", f"--master_port={port}",
            "--join=True", f"--log_dir={tmp_path / 'logs'}", WORKER, "together", tmp_path,
        ],
        check=False, timeout=600, cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {
            # msrun starts the `python` that it finds, not the one that it runs in.
            "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
            "MS_OM_PATH": str(tmp_path),
        },
    )  # fmt: skip
    logs = "".join(p.read_text() for p in (tmp_path / "logs").glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    first, second = (dict(np.load(tmp_path / f"rank{rank}.npz")) for rank in (0, 1))
    assert [int(first["rank"]), int(second["rank"])] == [0, 1]
    assert int(first["world"]) == 2

    graph = small_network(norm=False)  # the statistics of batch norms are each process's own
    weights, batches = small_weights(graph), small_batches(STEPS)
    for name, (optimizer, changes) in TOGETHER.items():
        trainer = engine.trainer(graph, weights, small_recipe(optimizer, **changes))
        losses = [loss for loss, _ in steps_of(trainer, batches)]
        np.testing.assert_allclose(
            (first[f"{name}.losses"] + second[f"{name}.losses"]) / 2, losses, rtol=1e-5
        )
        arrays, others = (
            {n: found[f"{name}.weights.{n}"] for n in weights} for found in (first, second)
        )
        assert same(arrays, others)
        assert farthest(arrays, trainer.weights(), weights) < TOLERANCE
        # The negative control: half of the images alone.
        trainer.restore(weights, {}, 0)
        steps_of(trainer, [(x[:6], y[:6]) for x, y in batches])
        assert farthest(arrays, trainer.weights(), weights) > 10 * TOLERANCE
    # Counts that float32 cannot hold, and the same bits everywhere.
    expected = np.array([[2**31 - 1 + 1, 2.0**-30], [1e300, 0.1 + 0.7]])
    np.testing.assert_array_equal(first["sum"], expected)
    np.testing.assert_array_equal(second["sum"], expected)
    assert first["dropout"] != second["dropout"]
