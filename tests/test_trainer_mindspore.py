"""MindSpore's trainer takes PyTorch's steps, goes on bit for bit, and joins other processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from trainer_material import (
    BIASES,
    NORM,
    WEIGHTS,
    small_batches,
    small_network,
    small_recipe,
    small_weights,
)

import backends
from zoo.errors import InputError, SpecError, WeightsError
from zoo.recipes import SGD, Recipe

WORKER = Path(__file__).with_name("trainer_worker_mindspore.py")
STEPS = 4
RATES = (0.05, 0.1, 0.2, 0.1)
CYCLE = (0.95, 0.9, 0.85, 0.9)
DECAYED = {"all": WEIGHTS | BIASES | NORM, "not_norm": WEIGHTS | BIASES, "weights": WEIGHTS}

TOLERANCE = 5e-5
"""Of the distance that a parameter has moved; the greatest that was seen is 1.3e-5."""

SGD_PLAIN = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
MOMENTUM = SGD_PLAIN | {"momentum": 0.9}
NESTEROV = MOMENTUM | {"nesterov": True}
ADAM = {"name": "adam", "lr": 0.1, "betas": [0.9, 0.99], "eps": 1e-3}

# name → (optimiser, other fields, momentum of each step or None, what makes it another)
TABLE = {
    "sgd": (SGD_PLAIN, {}, None, {"optimizer.weight_decay": 0.01}),
    "momentum": (MOMENTUM, {}, None, {"optimizer.momentum": 0.89}),
    "nesterov": (NESTEROV, {}, None, {"optimizer.nesterov": False}),
    "momentum of each step": (NESTEROV, {}, CYCLE, None),
    "decay of all": (
        NESTEROV | {"weight_decay": 0.05, "decayed": "all"}, {}, None,
        {"optimizer.decayed": "not_norm"},
    ),
    "decay of all but norms": (
        MOMENTUM | {"weight_decay": 0.05, "decayed": "not_norm"}, {}, None,
        {"optimizer.decayed": "weights"},
    ),
    "decay of weights": (
        SGD_PLAIN | {"weight_decay": 0.05, "decayed": "weights"}, {}, None,
        {"optimizer.weight_decay": 0.051},
    ),
    "adam": (ADAM, {}, None, {"optimizer.betas": [0.9, 0.98]}),
    "adam, decay": (
        ADAM | {"weight_decay": 0.05, "eps": 1e-8, "decayed": "weights"}, {}, None,
        {"optimizer.decoupled": True},
    ),
    "adam, beta of each step": (ADAM, {}, CYCLE, None),
    "adamw": (
        ADAM | {"weight_decay": 0.05, "decoupled": True}, {}, None, {"optimizer.eps": 1.1e-3},
    ),
    "clip value": (MOMENTUM, {"clip_value": 0.01}, None, {"clip_value": 0.0101}),
    "clip norm": (MOMENTUM, {"clip_norm": 0.1}, None, {"clip_norm": 0.101}),
    "clip norm that is not reached": (MOMENTUM, {"clip_norm": 50.0}, None, {"clip_norm": 0.1}),
    "accumulate": (NESTEROV, {"accumulate": 3, "clip_norm": 0.1}, None, {"accumulate": 1}),
    "loss scale": (MOMENTUM, {"loss_scale": 1024.0, "clip_norm": 0.1}, None, {"clip_norm": 0.101}),
}  # fmt: skip

TOGETHER = {
    "nesterov": (NESTEROV | {"weight_decay": 0.05}, {"clip_norm": 0.1}),
    "adam": (ADAM, {"accumulate": 2}),
}


@pytest.fixture(scope="module")
def engine():
    return backends.load("mindspore")


def steps_of(trainer, batches, momenta=None, start=0):
    """Take a step a batch; return what the steps return."""
    found = []
    for i, (images, targets) in enumerate(batches, start):
        momentum = None if momenta is None else momenta[i]
        found.append(trainer.step(images, targets, lr=RATES[i], momentum=momentum))
    return found


def plain_optimizer(module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return PyTorch's own optimiser."""
    wanted, first = recipe.optimizer, DECAYED[recipe.optimizer.decayed]
    named = dict(module.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if n in first],
         "weight_decay": wanted.weight_decay},
        {"params": [p for n, p in named.items() if n not in first], "weight_decay": 0.0},
    ]  # fmt: skip
    if isinstance(wanted, SGD):
        return torch.optim.SGD(groups, lr=1, momentum=wanted.momentum, nesterov=wanted.nesterov)
    kind = torch.optim.AdamW if wanted.decoupled else torch.optim.Adam
    return kind(groups, lr=1, betas=wanted.betas, eps=wanted.eps)


def backward(module, recipe: Recipe, images, targets):
    """Leave the gradients in the parameters; return (the loss, the classes)."""
    seen, total = [], 0.0
    for part in np.array_split(np.arange(len(images)), min(recipe.accumulate, len(images))):
        logits = module(torch.from_numpy(images[part]))
        share = F.cross_entropy(logits, torch.from_numpy(targets[part])) * len(part) / len(images)
        share.backward()
        total += share.item()
        seen.append(logits.argmax(1).numpy())
    if recipe.clip_value:
        torch.nn.utils.clip_grad_value_(module.parameters(), recipe.clip_value)
    if recipe.clip_norm:
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip_norm)
    return total, np.concatenate(seen)


def reference(graph, weights, recipe: Recipe, batches, momenta=None):
    """Return (losses and classes, weights, slots) after the steps of a plain loop of PyTorch's."""
    engine = backends.load("torch")
    module = engine.build(graph)
    engine.set_parameters(module, weights)
    module.train()
    optimizer = plain_optimizer(module, recipe)
    found = []
    for i, (images, targets) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = RATES[i]
            if momenta and "betas" in group:
                group["betas"] = (momenta[i], group["betas"][1])
            elif momenta:
                group["momentum"] = momenta[i]
        optimizer.zero_grad()
        found.append(backward(module, recipe, images, targets))
        optimizer.step()
    slots: dict[str, dict[str, np.ndarray]] = {}
    for name, parameter in module.named_parameters():
        for slot, value in optimizer.state[parameter].items():
            if slot != "step" and value is not None:
                slots.setdefault(slot, {})[name] = value.numpy()
    return found, engine.get_parameters(module), slots


def farthest(found, expected, start):
    """Return the greatest difference of any array, as a share of the distance it has moved."""
    return max(
        np.linalg.norm(found[name] - expected[name]) / np.linalg.norm(expected[name] - start[name])
        for name in start
    )


def difference(one, other):
    """Return the greatest difference of any array, as a share of its length."""
    assert one.keys() == other.keys()
    return max(
        np.linalg.norm(one[name] - other[name]) / np.linalg.norm(other[name]) for name in one
    )


@pytest.mark.parametrize("name", TABLE)
def test_steps_are_those_of_pytorch(engine, name):
    optimizer, changes, momenta, other = TABLE[name]
    graph = small_network()
    weights, batches = small_weights(graph), small_batches(STEPS)
    recipe = small_recipe(optimizer, **changes)
    trainer = engine.trainer(graph, weights, recipe)
    assert (trainer.rank, trainer.world) == (0, 1)
    found = steps_of(trainer, batches, momenta)
    wanted, expected, slots = reference(graph, weights, recipe, batches, momenta)
    for (loss, predicted), (right, labels) in zip(found, wanted, strict=True):
        assert loss == pytest.approx(right, rel=1e-5)
        assert predicted.dtype == np.int64
        np.testing.assert_array_equal(predicted, labels)
    assert farthest(trainer.weights(), expected, weights) < TOLERANCE
    remembered = trainer.slots()
    assert remembered.keys() == slots.keys()
    for slot, arrays in slots.items():
        assert difference(remembered[slot], arrays) < TOLERANCE, slot
    # The negative control: a recipe that differs in a little is told apart by far.
    changed = recipe if other is None else recipe.replace(**other)
    _, wrong, _ = reference(graph, weights, changed, batches, momenta if other else None)
    assert farthest(trainer.weights(), wrong, weights) > 10 * TOLERANCE


@pytest.mark.parametrize(("size", "accumulate"), [(7, 3), (2, 3)])
def test_a_last_batch_may_be_smaller_and_need_not_divide(engine, size, accumulate):
    graph = small_network()
    weights, batches = small_weights(graph), small_batches(1) + small_batches(1, size)
    recipe = small_recipe(MOMENTUM, accumulate=accumulate)
    trainer = engine.trainer(graph, weights, recipe)
    (_, (loss, classes)) = steps_of(trainer, batches)
    (_, (right, labels)), expected, _ = reference(graph, weights, recipe, batches)
    assert loss == pytest.approx(right, rel=1e-5)
    np.testing.assert_array_equal(classes, labels)
    assert farthest(trainer.weights(), expected, weights) < TOLERANCE


# What a restored trainer must have all of: momenta of the steps, their number, parts, draws.
RESTORED = {
    "nesterov": (NESTEROV | {"weight_decay": 0.05}, {"accumulate": 2}, CYCLE),
    "adam": (ADAM, {"clip_norm": 0.1}, CYCLE),
}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("name", RESTORED)
def test_a_restored_trainer_goes_on_bit_for_bit(engine, name):
    optimizer, changes, momenta = RESTORED[name]
    graph = small_network(dropout=0.4)
    weights, batches = small_weights(graph), small_batches(STEPS)
    recipe = small_recipe(optimizer, **changes)
    whole = engine.trainer(graph, weights, recipe)
    steps_of(whole, batches[:2], momenta)
    after, slots = whole.weights(), whole.slots()
    kept = {n: a.copy() for n, a in after.items()}
    found = steps_of(whole, batches[2:], momenta, 2)
    assert same(after, kept)  # what was returned are copies

    def go_on(trainer, steps, remembered):
        trainer.restore(after, remembered, steps)
        again = steps_of(trainer, batches[2:], momenta, 2)
        return [loss for loss, _ in again], trainer.weights(), trainer.slots()

    losses, end, memory = [loss for loss, _ in found], whole.weights(), whole.slots()
    new = engine.trainer(graph, weights, recipe)
    for trainer in (new, whole):  # nothing of what a trainer did before is left
        again, arrays, remembered = go_on(trainer, 2, slots)
        assert again == losses
        assert same(arrays, end)
        assert all(same(remembered[slot], memory[slot]) for slot in memory)
    # The negative controls: the number of steps, the slots and the seed all matter.
    other = engine.trainer(graph, weights, recipe.replace(seed=1))
    for trainer, steps, given in ((new, 3, slots), (new, 2, {}), (other, 2, slots)):
        assert not same(go_on(trainer, steps, given)[1], end), (steps, given.keys())


@pytest.mark.slow
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


def test_dropout_draws_by_seed_and_step(engine):
    graph = small_network(dropout=0.4)
    weights, ((images, targets),) = small_weights(graph), small_batches(1)

    def losses(trainer, steps):
        return [trainer.step(images, targets, lr=1e-30, momentum=None)[0] for _ in range(steps)]

    trainer = engine.trainer(graph, weights, small_recipe(SGD_PLAIN))
    first = losses(trainer, 3)
    assert len(set(first)) == 3
    trainer.restore(weights, {}, 1)
    assert losses(trainer, 2) == first[1:]
    other = engine.trainer(graph, weights, small_recipe(SGD_PLAIN, seed=1))
    assert not set(losses(other, 3)) & set(first)


@pytest.mark.parametrize("p", [0.2, 0.6])
def test_dropout_is_independent_draws_with_the_right_rate(graph_mode, p):
    import mindspore as ms

    from backends.mindspore.layers import Dropout, make_key, set_key

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
    flat = np.concatenate([flat, np.roll(flat, 1, axis=1)])  # and with their neighbours
    apart = np.corrcoef(flat) - np.eye(len(flat))
    assert abs(apart).max() < 5 / flat.shape[1] ** 0.5
    # Its gradient goes through what is kept, and the same draws.
    slope = ms.grad(first)(ones).asnumpy()
    np.testing.assert_array_equal(slope, drawn[4])


def test_networks_without_dropout_draw_nothing(engine):
    graph = small_network()
    assert engine.trainer(graph, small_weights(graph), small_recipe(MOMENTUM))._key is None


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
        "precision (=bfloat16): MindSpore can not train in it on a CPU (no convolution, batch "
        "norm or pool takes it); use float32"
    )


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


def test_what_does_not_fit_is_refused_before_anything_changes(engine):
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
    slots = trainer.slots()
    buffers = slots["momentum_buffer"]
    missing = {name: array for name, array in buffers.items() if name != "head.bias"}
    refused = {
        "slot 'exp_avg' is none that the recipe's optimiser has: ['momentum_buffer']": {
            "exp_avg": buffers,
        },
        "slot 'momentum_buffer': 'head.bias' is not in both the network and the slot": {
            "momentum_buffer": missing,
        },
        "slot 'momentum_buffer': the shape of 'head.bias' (=(4,)) must be (5,)": {
            "momentum_buffer": buffers | {"head.bias": np.zeros(4, np.float32)},
        },
    }
    for text, given in refused.items():
        with pytest.raises(WeightsError) as caught:
            trainer.restore({n: a + 1 for n, a in weights.items()}, given, 1)
        assert str(caught.value) == text
    assert same(trainer.weights(), weights)
    assert trainer.steps == 0


def test_one_process_sums_for_itself(engine):
    graph = small_network()
    trainer = engine.trainer(graph, small_weights(graph), small_recipe(MOMENTUM))
    values = np.array([[1, 2**31 - 1], [0.5, -3]])
    found = trainer.sum(values)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)
    model = engine.build(graph)
    assert trainer.place(model) is model


@pytest.mark.slow
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
    # Counts that float32 can not hold, and the same bits everywhere.
    expected = np.array([[2**31 - 1 + 1, 2.0**-30], [1e300, 0.1 + 0.7]])
    np.testing.assert_array_equal(first["sum"], expected)
    np.testing.assert_array_equal(second["sum"], expected)
    assert first["dropout"] != second["dropout"]
