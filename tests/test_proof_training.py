"""The level training: an honest trainer passes in every variant, and each mistake is named."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import backends
import zoo
from zoo.passes import split_group_conv
from zoo.proof.candidate import Candidate
from zoo.proof.case import make_case
from zoo.proof.references import References
from zoo.proof.steps import TOLERANCES
from zoo.proof.tolerances import UNINFORMATIVE
from zoo.proof.training import training
from zoo.proof.variants import VARIANTS

LAYER = "stage3.2.depthwise.conv.weight"
NORM = r"last\.bn\.bias"
LAST = r"classifier\.weight"


@pytest.fixture(scope="module")
def references():
    network = zoo.spec("shufflenet_v2_0.5x_cifar").graph
    return References(make_case(network, seed=0, images=None, weights=None, variants=VARIANTS))


def findings(references, backend, variant, realize=None):
    """Return measure → finding of one variant."""
    candidate = Candidate("liar", backend, references.case.graph, *([realize] if realize else []))
    object.__setattr__(references.case, "variants", (variant,))
    found = {f.measure.removeprefix(f"{variant}: "): f for f in training(candidate, references)}
    assert list(found) == list(TOLERANCES)
    return found


class Backend:
    """PyTorch's, whose trainer makes a mistake."""

    DTYPES = ("float32",)
    LEVELS = ("training",)

    def __init__(self, mistake=None, **recipe):
        self.mistake, self.changes = mistake, recipe

    def trainer(self, graph, weights, recipe):
        changes = {name.replace("__", "."): value for name, value in self.changes.items()}
        for name, value in changes.items():
            if callable(value):
                changes[name] = value(recipe)
        honest = backends.load("torch").trainer(graph, weights, recipe.replace(**changes))
        return self.mistake(honest) if self.mistake else honest


class Wrapped:
    """A trainer in which a mistake is made; it counts the steps since the last start."""

    def __init__(self, trainer):
        self.trainer, self.number = trainer, 0

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def step(self, images, targets, *, lr, momentum):
        self.number += 1
        return self.trainer.step(images, targets, lr=lr, momentum=momentum)

    def restore(self, weights, slots, steps):
        self.number = 0
        self.trainer.restore(weights, slots, steps)

    def state(self, slot):
        return [self.trainer.optimizer.state[p][slot] for p in self.trainer.parameters.values()]


class NoMomentum(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        return super().step(images, targets, lr=lr, momentum=0.0)


class MomentumOfTheStepIgnored(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        return super().step(images, targets, lr=lr, momentum=None)


class FirstStepDampened(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        done = super().step(images, targets, lr=lr, momentum=momentum)
        if self.number == 1:
            for buffer in self.state("momentum_buffer"):
                buffer.mul_(0.1)
        return done


class BuffersForgotten(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        for buffer in self.state("momentum_buffer"):
            buffer.zero_()
        return super().step(images, targets, lr=lr, momentum=momentum)


class BuffersKept(Wrapped):
    """A restored trainer that remembers what it did before."""

    def restore(self, weights, slots, steps):
        super().restore(weights, self.trainer.slots(), steps)


class RateOfAMiddleStepIgnored(Wrapped):
    rate = None

    def step(self, images, targets, *, lr, momentum):
        self.rate = self.rate or lr
        lr = self.rate if self.number == 1 else lr
        return super().step(images, targets, lr=lr, momentum=momentum)


class FirstRateIgnored(Wrapped):
    """What the optimizer moves is not what the network computes with, until it is restored."""

    def step(self, images, targets, *, lr, momentum):
        first = self.number == 0
        return super().step(images, targets, lr=0.0 if first else lr, momentum=momentum)


class LastRateOff(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        return super().step(images, targets, lr=lr * 1.001, momentum=momentum)


class NoBiasCorrection(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        for count in self.state("step"):
            count.fill_(1e6)
        return super().step(images, targets, lr=lr, momentum=momentum)


class OneStepTooMany(Wrapped):
    def step(self, images, targets, *, lr, momentum):
        for count in self.state("step"):
            count.add_(float(self.number == 0))
        return super().step(images, targets, lr=lr, momentum=momentum)


class StatisticsOfOneStep(Wrapped):
    """Batch norms that stop following the images."""

    def step(self, images, targets, *, lr, momentum):
        if self.number == 1:
            for layer in self.trainer.module.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = 0.0
        return super().step(images, targets, lr=lr, momentum=momentum)


class NaNInOneArray(Wrapped):
    def weights(self):
        return self.trainer.weights() | {LAYER: self.trainer.weights()[LAYER] * np.nan}


class WithoutAnArray(Wrapped):
    def slots(self):
        slots = self.trainer.slots()
        del slots["momentum_buffer"][LAYER]
        return slots


def scaled(factor, *names):
    """Return a mistake: gradients that are so many times too large."""

    def mistake(trainer):
        for name, parameter in trainer.parameters.items():
            if not names or name in names:
                parameter.register_hook(lambda gradient: gradient * factor)
        return trainer

    return mistake


MEMORY, UPDATE, EACH = "optimizer memory, each", "update", "update, each"
LOSS, AFTER, STATISTICS = "loss of each step", "loss after a step", "running statistics"
# name → (variant, the backend, the first measure that fails, what is named there)
SABOTAGE = {
    "no momentum": ("sgd", Backend(NoMomentum), MEMORY, LAST),
    "momentum of the step ignored": ("sgd", Backend(MomentumOfTheStepIgnored), MEMORY, LAST),
    "another momentum": ("sgd", Backend(optimizer__momentum=0.899), MEMORY, LAST),
    "Nesterov for plain": ("sgd", Backend(optimizer__nesterov=True), UPDATE, UPDATE),
    "plain for Nesterov": ("nesterov", Backend(optimizer__nesterov=False), UPDATE, UPDATE),
    "decay on what is spared": ("sgd", Backend(optimizer__decayed="all"), MEMORY, NORM),
    "decay on norms alone left out": (
        "decay_all", Backend(optimizer__decayed="not_norm"), MEMORY, NORM,
    ),
    "decay forgotten": ("sgd", Backend(optimizer__weight_decay=0.0), MEMORY, LAST),
    "first step dampened": ("sgd", Backend(FirstStepDampened), MEMORY, LAST),
    "one gradient off by a thousandth": (
        "sgd", Backend(scaled(1.001, LAYER)), MEMORY, re.escape(LAYER),
    ),
    "rate of a middle step ignored": ("sgd", Backend(RateOfAMiddleStepIgnored), LOSS, "step 3"),
    "rate of a single step ignored": ("sgd", Backend(FirstRateIgnored), AFTER, AFTER),
    "rate off by a thousandth": ("sgd", Backend(LastRateOff), UPDATE, UPDATE),
    "buffers forgotten between steps": ("sgd", Backend(BuffersForgotten), MEMORY, LAST),
    "buffers kept where it starts anew": ("sgd", Backend(BuffersKept), MEMORY, LAST),
    "statistics of one step": (
        "sgd", Backend(StatisticsOfOneStep), STATISTICS, r"stem\.bn\.running_mean",
    ),
    "NaN": ("sgd", Backend(NaNInOneArray), UPDATE, UPDATE),
    "an array forgotten": ("sgd", Backend(WithoutAnArray), MEMORY, re.escape(LAYER)),
    "clipping where none is asked for": (
        "sgd", Backend(clip_norm=1e-3), MEMORY, LAST,
    ),
    "eps times ten": (
        "adam", Backend(optimizer__eps=lambda r: 10 * r.optimizer.eps), UPDATE, UPDATE,
    ),
    "betas swapped": (
        "adam", Backend(optimizer__betas=[0.99, 0.9]), MEMORY, f"exp_avg {LAST}",
    ),
    "second beta": (
        "adam", Backend(optimizer__betas=[0.9, 0.9901]), MEMORY, f"exp_avg_sq {LAST}",
    ),
    "no bias correction": ("adam", Backend(NoBiasCorrection), UPDATE, UPDATE),
    "bias correction of the next step": ("adam", Backend(OneStepTooMany), UPDATE, UPDATE),
    "decoupled for coupled": (
        "adam", Backend(optimizer__decoupled=True), MEMORY, f"exp_avg {LAST}",
    ),
    "coupled for decoupled": (
        "adamw", Backend(optimizer__decoupled=False), MEMORY, f"exp_avg {LAST}",
    ),
    "decay of AdamW forgotten": ("adamw", Backend(optimizer__weight_decay=0.0), UPDATE, UPDATE),
    "clipping of the norm left out": ("clip_norm", Backend(clip_norm=None), MEMORY, LAST),
    "clipping of the norm off by 1 %": (
        "clip_norm", Backend(clip_norm=lambda r: 1.01 * r.clip_norm), MEMORY, LAST,
    ),
    "clipping of values left out": ("clip_value", Backend(clip_value=None), MEMORY, LAST),
    "clipping of values off by 1 %": (
        "clip_value", Backend(clip_value=lambda r: 1.01 * r.clip_value), MEMORY, LAST,
    ),
    "sums of parts not divided": ("accumulate", Backend(scaled(2.0)), MEMORY, LAST),
    "parts taken as one": ("accumulate", Backend(accumulate=1), STATISTICS, r"stem\.bn\..*"),
    "decay of biases too": ("decay_weights", Backend(optimizer__decayed="all"), MEMORY, NORM),
}  # fmt: skip


@pytest.mark.sweep(quick=["sgd"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_honest_trainer_passes_and_every_bound_could_have_told(references, variant):
    for finding in findings(references, backends.load("torch"), variant).values():
        assert finding.status == "passed", finding.told()
        assert finding.power < UNINFORMATIVE / 10


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", VARIANTS)
def test_mindspore_passes_every_variant(references, variant):
    for finding in findings(references, backends.load("mindspore"), variant).values():
        assert finding.status == "passed", finding.told()


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", ["sgd", "adam"])
def test_a_split_candidate_is_compared_under_canonical_names(variant):
    network = zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph
    references = References(
        make_case(network, seed=0, images=None, weights=None, variants=[variant])
    )
    found = findings(references, backends.load("torch"), variant, split_group_conv)
    assert {f.status for f in found.values()} == {"passed"}
    names = {name for name, p in network.parameters.items() if p.trainable}
    assert set(found["update, each"].errors) == names
    slots = {"sgd": [""], "adam": ["exp_avg ", "exp_avg_sq "]}[variant]
    assert set(found["optimizer memory, each"].errors) == {s + n for s in slots for n in names}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_mistake_of_the_trainer_is_caught_and_named(references, name):
    variant, backend, measure, where = SABOTAGE[name]
    found = findings(references, backend, variant)
    failed = [f for f in found.values() if f.status == "failed"]
    assert failed, name
    assert failed[0].measure.removeprefix(f"{variant}: ") == measure
    assert re.fullmatch(where, failed[0].diverges_at)


def test_what_is_not_there_or_too_much_is_told(references):
    found = findings(references, SABOTAGE["an array forgotten"][1], "sgd")
    assert found["optimizer memory, each"].told() == (
        f"liar diverges at {LAYER} (training, optimizer memory, each: it is missing)"
    )
    found = findings(references, SABOTAGE["NaN"][1], "sgd")
    assert found["update, each"].note == "it is not finite"

    class Slots(Wrapped):
        def slots(self):
            slots = self.trainer.slots()
            return slots | {"exp_avg": slots["momentum_buffer"]}

    found = findings(references, Backend(Slots), "sgd")["optimizer memory, each"]
    assert found.diverges_at == "exp_avg classifier.weight"
    assert found.note == "PyTorch remembers no such thing"


REQUESTS = [
    (
        dict(variants=["sgd", "lion"]),
        zoo.UnknownNameError,
        "unknown variant 'lion'; known: accumulate, adam, ",
    ),
    (dict(steps=1), zoo.InputError, "steps (=1) must be at least 2: the first remembers no others"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kind", "message"), REQUESTS)
def test_bad_requests(request_, kind, message):
    with pytest.raises(kind) as error:
        zoo.parity("shufflenet_v2_0.5x_cifar", level="training", **request_)
    assert str(error.value).startswith(message)
