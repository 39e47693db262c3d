"""The steps of the level *training*, and what a trainer makes of them.

Training is chaotic: where steps have moved the weights, inputs of some activations lie as near to a
kink as float32 is coarse, and from there on two honest trainers part. So gradients are taken at the
weights of the case alone, from whose kinks everything keeps clear, and never behind a step that
moved them: one step, after which only the loss is looked at (the forward pass is continuous); then,
from the start again, steps with a rate of zero, which fill the optimizer's memory by gradients of
other batches; and a last one that moves every parameter by about a tenth of itself or more, which
float32 resolves. What it moves by holds all that the optimizer did before.

A mistake of a rate that is zero shows in the losses: weights that must not move have moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import backends
from backends import Steps
from zoo.passes import Weights
from zoo.proof import tolerances
from zoo.proof.case import Case
from zoo.proof.floor import largest, last_bit_variants
from zoo.proof.measure import each_relative_l2, faults, joint_relative_l2, maxima, norm
from zoo.proof.variants import Sizes, recipe_of

if TYPE_CHECKING:
    from zoo.recipes import Recipe

Errors = dict[str, dict[str, float]]
"""Measure → name → error."""

SHARE = 0.5
"""Of the targets, that is of one class; the rest is spread at random."""
FALL = 0.03
"""About which share of the loss the one step takes off."""
REACH = 0.1
"""About which share of itself the last step moves each parameter by, at least."""
MOMENTUM = 0.8
"""Of the last step; the others leave it to the recipe."""
LIVE = 1e-6
"""Which share of the norm of all gradients one must have to be more than rounding."""

TOLERANCES = {
    "loss of each step": tolerances.LOSSES,
    "running statistics": tolerances.TRAINED_STATISTICS,
    "optimizer memory, each": tolerances.MEMORY_EACH,
    "update": tolerances.UPDATE,
    "update, each": tolerances.UPDATE_EACH,
    "loss after a step": tolerances.LOSSES,
}
"""The measures, those that name a mistake best first."""


@dataclass(frozen=True)
class Batch:
    """Images, targets and what a trainer is to do with them.

    Attributes:
        images: float32 (N, C, H, W).
        targets: the probability of each class, float32 (N, classes).
        lr: the learning rate.
        momentum: of this step, or None for the recipe's.
    """

    images: np.ndarray
    targets: np.ndarray
    lr: float = 0.0
    momentum: float | None = None


@dataclass(frozen=True)
class Work:
    """What every trainer is given.

    Attributes:
        recipe: the variant's.
        one: the step after which the loss of the same batch is looked at.
        steps: taken from the start again.
    """

    recipe: Recipe
    one: Batch
    steps: tuple[Batch, ...]


@dataclass(frozen=True)
class Run:
    """What a trainer made of it.

    Attributes:
        losses: of each step.
        after: the loss after the one step.
        statistics: the running statistics after all steps.
        memory: what the optimizer remembers, by the parameter's name; Adam's means behind their
            slots' names. From the loss backwards, as gradients go.
        update: how far the steps moved each parameter, in that order.
    """

    losses: tuple[float, ...]
    after: float
    statistics: Weights
    memory: Weights
    update: Weights


@dataclass(frozen=True)
class Exact:
    """The work, what plain PyTorch makes of it in float64, and how far it is off in float32."""

    work: Work
    run: Run
    floors: Errors


def work_of(case: Case, variant: str) -> Work:
    """Return the work of a variant: batches, recipe and rates that fit the network's gradients."""
    images, targets = _batch(case, 0, parts=1)
    loss, gradients = backends.reference().gradients(
        case.settled, case.weights[True], images, targets, training=True, dtype="float32"
    )
    start = case.weights[True]
    whole = norm(gradients.values())
    live = [name for name, g in gradients.items() if norm([g]) > LIVE * whole and start[name].any()]
    ratios = [norm([gradients[name]]) / norm([start[name]]) for name in live]
    values = [norm([gradients[name]]) / gradients[name].size ** 0.5 for name in live]
    sizes = Sizes(
        decay=_round(float(np.quantile(ratios, 0.05))) if live else 1.0,
        value=_round(float(np.quantile(values, 0.75))) if live else 1.0,
        norm=_round(whole or 1.0),
    )
    recipe = recipe_of(variant, sizes)
    eps = recipe.optimizer.eps if recipe.optimizer.name == "adam" else None
    moved = {n: g if eps is None else g / (np.abs(g) + eps) for n, g in gradients.items()}
    shares = [norm([moved[name]]) / norm([start[name]]) for name in live]
    slope = sum(float(np.sum(gradients[name] * moved[name])) for name in gradients)
    last = case.steps - 1
    batches = [_batch(case, step, recipe.accumulate) for step in range(case.steps)]
    return Work(
        recipe,
        Batch(*batches[0], lr=_round(FALL * loss / (slope or 1.0))),
        tuple(
            Batch(*batch, lr=_round(REACH / min(shares, default=1.0)), momentum=MOMENTUM)
            if step == last
            else Batch(*batch)
            for step, batch in enumerate(batches)
        ),
    )


def _batch(case: Case, step: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the case's images in another order, for each part, and targets of their own."""
    images = np.concatenate([np.roll(case.images, step + part, axis=0) for part in range(parts)])
    classes = case.graph.shapes()[case.graph.outputs[0]][1]
    rng = np.random.default_rng((case.seed, step))
    spread = rng.random((len(images), classes))
    one = np.eye(classes)[rng.integers(0, classes, len(images))]
    targets = SHARE * one + (1 - SHARE) * spread / spread.sum(1, keepdims=True)
    return images, targets.astype(np.float32)


def _round(value: float) -> float:
    """Return two digits of a number: all machines get the same, whatever their last bits."""
    return float(f"{value:.1e}")


def take(
    case: Case,
    work: Work,
    weights: Weights,
    start: Callable[[], Steps],
    names: Callable[[Weights], Weights],
) -> Run:
    """Return what a trainer makes of the work.

    Args:
        case: whose network it trains.
        work: what it is to do.
        weights: what it starts from, by the names of the case's network.
        start: returns the trainer as it is before the first step.
        names: brings arrays from the names of the trainer's network under those.
    """
    one = work.one
    trainer = start()
    trainer.step(one.images, one.targets, lr=one.lr, momentum=None)
    after, _ = trainer.step(one.images, one.targets, lr=0.0, momentum=None)
    trainer = start()
    losses = tuple(
        trainer.step(b.images, b.targets, lr=b.lr, momentum=b.momentum)[0] for b in work.steps
    )
    slots = {slot: names(arrays) for slot, arrays in trainer.slots().items()}
    found = names(trainer.weights())
    parameters = case.graph.parameters
    trained = [name for name in reversed(list(parameters)) if parameters[name].trainable]
    return Run(
        losses,
        after,
        statistics={name: array for name, array in found.items() if name not in trained},
        memory={
            name if slot == "momentum_buffer" else f"{slot} {name}": _remembered(slot, array)
            for slot, arrays in slots.items()
            for name, array in reversed(arrays.items())
        },
        update={
            name: found[name] - weights[name].astype(found[name].dtype)
            for name in trained
            if name in found
        },
    )


def _remembered(slot: str, array: np.ndarray) -> np.ndarray:
    """Return an array of the memory in the gradient's unit."""
    return np.sign(array) * np.sqrt(np.abs(array)) if slot == "exp_avg_sq" else array


def exact(case: Case, variant: str) -> Exact:
    """Return what the candidates of a variant are compared with."""
    work = work_of(case, variant)
    start = case.weights[True]

    def plain(weights: Weights, **how: Any) -> Run:
        make = backends.reference().plain_trainer
        return take(
            case,
            work,
            weights,
            lambda: make(case.settled, weights, work.recipe, **how),
            lambda arrays: arrays,
        )

    right = plain(start, dtype="float64")
    # Kernels for either layout round in their own way, and trainers may use both.
    runs = [
        compare(plain(weights, channels_last=number % 2 == 1), right)
        for number, weights in enumerate(last_bit_variants(start))
    ]
    floors = {measure: largest([run[measure] for run in runs]) for measure in TOLERANCES}
    return Exact(work, right, floors)


def compare(found: Run, right: Run, wrong: Mapping[str, str] | None = None) -> Errors:
    """Return how far a run is off what it should be, by measure and name."""
    steps = {
        f"step {i}": _relative(a, b)
        for i, (a, b) in enumerate(zip(found.losses, right.losses, strict=True), start=1)
    }
    return {
        "loss of each step": steps,
        "running statistics": maxima(found.statistics, right.statistics, wrong or {}),
        "optimizer memory, each": each_relative_l2(found.memory, right.memory)
        | {name: np.inf for name in found.memory if name not in right.memory},
        "update": {"update": joint_relative_l2(found.update, right.update)},
        "update, each": each_relative_l2(found.update, right.update),
        "loss after a step": {"loss after a step": _relative(found.after, right.after)},
    }


def step_faults(found: Run, right: Run, dtype: str) -> dict[str, dict[str, str]]:
    """Return what keeps arrays from being compared at all, by measure and name."""
    extra = dict.fromkeys(found.memory, "PyTorch remembers no such thing")
    return {
        "running statistics": faults(found.statistics, right.statistics, dtype),
        "optimizer memory, each": faults(found.memory, right.memory, dtype)
        | {name: told for name, told in extra.items() if name not in right.memory},
        "update, each": faults(found.update, right.update, dtype),
    }


def _relative(found: float, right: float) -> float:
    return abs(found - right) / (abs(right) or 1.0)
