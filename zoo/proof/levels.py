"""The levels of a parity proof, from names and shapes up to training steps.

Each yields findings for one candidate. References are computed once a case: the NumPy interpreter
in float64 for values, PyTorch in float64 for gradients and training, PyTorch in float32 for the
floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

import backends
from zoo.arch import cost
from zoo.passes import Weights
from zoo.proof import tolerances
from zoo.proof.case import Candidate, Case, plain_training
from zoo.proof.floor import largest, last_bit_variants
from zoo.proof.measure import (
    each_relative_l2,
    first_beyond,
    maxima,
    relative_l2,
)
from zoo.proof.report import Finding
from zoo.proof.tolerances import Tolerance

Arrays = dict[str, np.ndarray]


class References:
    """What the candidates are compared with, each computed when it is first asked for."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._gradients: dict[bool, tuple[Weights, float, dict[str, float]]] = {}
        self._numpy = Candidate("numpy64", backends.load("numpy"), case.graph, dtype="float64")

    @cached_property
    def _torch64(self) -> Candidate:
        return Candidate("torch64", backends.load("torch"), self.case.graph, dtype="float64")

    @cached_property
    def _torch32(self) -> Candidate:
        return Candidate("torch32", backends.load("torch"), self.case.graph)

    @cached_property
    def evaluated(self) -> Arrays:
        """Value of every node in evaluation mode."""
        return self._numpy.forward(self.case, training=False)[0]

    @cached_property
    def trained_forward(self) -> tuple[Arrays, Arrays]:
        """Value of every node, and running statistics after, in training mode."""
        return self._numpy.forward(self.case, training=True)

    @cached_property
    def forward_floor(self) -> tuple[dict[str, float], dict[str, float]]:
        """The floor of both."""
        values, buffers = self.trained_forward
        runs = []
        for weights in last_bit_variants(self.case.weights[True]):
            found = self._torch32.forward(self.case, training=True, weights=weights)
            runs.append((maxima(found[0], values), maxima(found[1], buffers)))
        return largest([run[0] for run in runs]), largest([run[1] for run in runs])

    def gradients(self, training: bool) -> tuple[Weights, float, dict[str, float]]:
        """Return (gradients, their floor as a whole, and each)."""
        if training not in self._gradients:
            exact = self._torch64.gradients(self.case, training=training)
            wholes, each = [], []
            for weights in last_bit_variants(self.case.weights[training]):
                run = self._torch32.gradients(self.case, training=training, weights=weights)
                wholes.append(relative_l2(run, exact))
                each.append(each_relative_l2(run, exact))
            self._gradients[training] = (exact, max(wholes), largest(each))
        return self._gradients[training]

    @cached_property
    def steps(self) -> tuple[list[float], Weights, float, float, dict[str, float]]:
        """Losses, arrays after the last step; floors of losses, of all arrays, of each."""
        losses, after = plain_training(self.case, "float64")
        way = self.way(after)
        of_losses, wholes, each = [], [], []
        for weights in last_bit_variants(self.case.weights[True]):
            run, arrays = plain_training(self.case, "float32", weights)
            moved = self.way(arrays)
            of_losses.append(max(loss_errors(run, losses)))
            wholes.append(relative_l2(moved, way))
            each.append(each_relative_l2(moved, way))
        return losses, after, max(of_losses), max(wholes), largest(each)

    def forget(self) -> None:
        """Let go of all that was computed: of a large network it is gigabytes a level."""
        self._gradients.clear()
        for name in ("evaluated", "trained_forward", "forward_floor", "steps"):
            self.__dict__.pop(name, None)

    def way(self, after: Weights) -> Weights:
        """Return how far training moved the arrays: most of a weight itself is old."""
        start = self.case.weights[True]
        return {name: array - start[name].astype(np.float64) for name, array in after.items()}


def loss_errors(losses: list[float], reference: list[float]) -> list[float]:
    """Return the relative error of each step's loss."""
    return [abs(a - b) / (abs(b) or 1.0) for a, b in zip(losses, reference, strict=True)]


def structure(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Names, shapes and number of parameters: live model, graph and cost model."""
    case = references.case
    found = candidate.parameters(case.weights[False])
    graph = candidate.expected(case)
    expected = {name: parameter.shape for name, parameter in graph.parameters.items()}
    names = dict.fromkeys((*expected, *found))
    wrong = {
        name: float(name not in found or expected.get(name) != found[name].shape) for name in names
    }
    finding = Finding.of_each(
        "structure", candidate.label, "names and shapes", wrong, 0.0, whole=sum(wrong.values())
    )
    yield finding
    count = sum(found[n].size for n, p in graph.parameters.items() if p.trainable and n in found)
    difference = float(abs(count - cost(graph).params))
    yield Finding("structure", candidate.label, "parameter count", difference, 0.0)


def forward(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Evaluation mode, every node."""
    found, _ = candidate.forward(references.case, training=False)
    errors = maxima(found, {name: references.evaluated[name] for name in found})
    limit = tolerances.FORWARD.admits()
    yield Finding.of_each("forward", candidate.label, "every node", errors, limit)


def batch_statistics(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Training mode: every node, and the running statistics after one batch."""
    results = candidate.forward(references.case, training=True)
    measures = (
        ("every node", tolerances.BATCH_FORWARD),
        ("running statistics", tolerances.RUNNING_STATISTICS),
    )
    for (measure, tolerance), found, exact, floor in zip(
        measures, results, references.trained_forward, references.forward_floor, strict=True
    ):
        errors = maxima(found, exact)
        yield _against_floor("batch_statistics", candidate, measure, errors, floor, tolerance)


def gradients(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Gradient of the loss for every parameter: batch norm frozen, then with batch statistics.

    Parameters are looked at from the loss backwards, the way gradients take: the first that
    diverges is the one nearest to the mistake.
    """
    measures = (
        (False, "frozen batch norm", tolerances.FROZEN_GRADIENT),
        (True, "batch statistics", tolerances.BATCH_GRADIENT),
    )
    for training, measure, tolerance in measures:
        exact, floor, each_floor = references.gradients(training)
        found = candidate.gradients(references.case, training=training)
        whole = relative_l2(found, exact)
        yield Finding(
            "gradients", candidate.label, measure, whole, tolerance.admits(floor), floor=floor
        )
        errors = dict(reversed(each_relative_l2(found, exact).items()))
        yield _against_floor(
            "gradients", candidate, f"{measure}, each", errors, each_floor, tolerances.PARAMETER
        )


def training(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Steps of SGD with momentum and weight decay on the same batches."""
    losses, after, losses_floor, way_floor, each_floor = references.steps
    found_losses, found = candidate.training(references.case)
    errors = {f"step {i}": e for i, e in enumerate(loss_errors(found_losses, losses), start=1)}
    first = dict(list(errors.items())[:1])
    limit = tolerances.FIRST_LOSS.admits()
    yield Finding.of_each("training", candidate.label, "first loss", first, limit)
    yield Finding.of_each(
        "training",
        candidate.label,
        "loss of each step",
        errors,
        tolerances.LOSSES.admits(losses_floor),
        floor=losses_floor,
    )
    way = references.way(after)
    moved = references.way(found)
    yield Finding(
        "training",
        candidate.label,
        "way of the parameters",
        relative_l2(moved, way),
        tolerances.TRAINED.admits(way_floor),
        floor=way_floor,
    )
    each = each_relative_l2(moved, way)
    yield _against_floor(
        "training", candidate, "way of each", each, each_floor, tolerances.TRAINED_EACH
    )


def _against_floor(
    level: str,
    candidate: Candidate,
    measure: str,
    errors: dict[str, float],
    floor: dict[str, float],
    tolerance: Tolerance,
) -> Finding:
    """Return a finding whose names are each judged against their own floor."""
    admitted = {name: tolerance.admits(floor[name]) for name in errors}
    # What is reported is the error nearest to, or furthest beyond, what is admitted.
    worst = max(errors, key=lambda name: errors[name] / admitted[name])
    return Finding(
        level,
        candidate.label,
        measure,
        errors[worst],
        admitted[worst],
        floor=floor[worst],
        worst=worst,
        diverges_at=first_beyond(errors, admitted),
        errors=errors,
        admitted=admitted,
    )


LEVELS: dict[str, Callable[[Candidate, References], Iterator[Finding]]] = {
    "structure": structure,
    "forward": forward,
    "batch_statistics": batch_statistics,
    "gradients": gradients,
    "training": training,
}
"""In order: a proof at one level includes those before it."""
