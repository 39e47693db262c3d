"""Every trainer takes the steps of plain PyTorch, and goes on bit for bit where another stopped."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import FRAMEWORKS
from trainer_material import (
    ADAM,
    CYCLE,
    MOMENTUM,
    NESTEROV,
    RESTORED,
    SGD_PLAIN,
    STEPS,
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
from zoo.errors import WeightsError
from zoo.recipes import decayed

# name → (optimizer, other fields, momentum of each step or None, what makes it another)
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


NORM = {"norm.weight", "norm.bias"}
BIASES = {"second.bias", "head.bias"}
WEIGHTS = {"first.weight", "second.weight", "head.weight"}
DECAYED = {"all": WEIGHTS | BIASES | NORM, "not_norm": WEIGHTS | BIASES, "weights": WEIGHTS}


@pytest.fixture(scope="module", params=FRAMEWORKS)
def engine(request):
    return backends.load(request.param)


def plain_steps(graph, weights, recipe, batches, momenta=None):
    """Return (losses and classes, weights, slots) after the steps of plain PyTorch."""
    plain = backends.reference().plain_trainer(graph, weights, recipe)
    return steps_of(plain, batches, momenta), plain.weights(), plain.slots()


def difference(one, other):
    """Return the greatest difference of any array, as a share of its length."""
    assert one.keys() == other.keys()
    return max(
        np.linalg.norm(one[name] - other[name]) / np.linalg.norm(other[name]) for name in one
    )


@pytest.mark.sweep(
    quick=["torch-*", "mindspore-nesterov", "mindspore-accumulate", "mindspore-adamw"]
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
    wanted, expected, slots = plain_steps(graph, weights, recipe, batches, momenta)
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
    _, wrong, _ = plain_steps(graph, weights, changed, batches, momenta if other else None)
    assert farthest(trainer.weights(), wrong, weights) > 10 * TOLERANCE


@pytest.mark.sweep(quick=["torch-*", "mindspore-2-3"])
@pytest.mark.parametrize(("size", "accumulate"), [(7, 3), (2, 3)])
def test_a_last_batch_may_be_smaller_and_need_not_divide(engine, size, accumulate):
    graph = small_network()
    weights, batches = small_weights(graph), small_batches(1) + small_batches(1, size)
    recipe = small_recipe(MOMENTUM, accumulate=accumulate)
    trainer = engine.trainer(graph, weights, recipe)
    (_, (loss, classes)) = steps_of(trainer, batches)
    (_, (right, labels)), expected, _ = plain_steps(graph, weights, recipe, batches)
    assert loss == pytest.approx(right, rel=1e-5)
    np.testing.assert_array_equal(classes, labels)
    assert farthest(trainer.weights(), expected, weights) < TOLERANCE


@pytest.mark.sweep(quick=["torch-*"])
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


@pytest.mark.sweep(quick=["torch"])
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


def test_slots_that_do_not_fit_are_refused_before_anything_changes(engine):
    graph = small_network()
    weights = small_weights(graph)
    trainer = engine.trainer(graph, weights, small_recipe(MOMENTUM))
    slots = trainer.slots()
    buffers = slots["momentum_buffer"]
    missing = {name: array for name, array in buffers.items() if name != "head.bias"}
    refused = {
        "slot 'exp_avg' is none that the recipe's optimizer has: ['momentum_buffer']": {
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
    assert same(trainer.slots()["momentum_buffer"], buffers)
    assert trainer.steps == 0


@pytest.mark.parametrize("which", DECAYED)
def test_weight_decay_is_for_the_parameters_that_are_named(which):
    assert decayed(small_network(), which) == DECAYED[which]


def test_one_process_sums_for_itself(engine):
    graph = small_network()
    trainer = engine.trainer(graph, small_weights(graph), small_recipe(MOMENTUM))
    values = np.array([[1, 2**31 - 1], [0.5, -3]])
    found = trainer.sum(values)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)
    model = engine.build(graph)
    assert trainer.place(model) is model
