"""The levels of a parity proof, from names and shapes up to training steps.

Each yields findings for one candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from zoo.arch import cost
from zoo.arch.head import head_of
from zoo.arch.operators import Dropout
from zoo.proof import kernels, tolerances
from zoo.proof.candidate import Candidate
from zoo.proof.case import Case
from zoo.proof.finding import REFERENCE, Finding
from zoo.proof.local import own_errors
from zoo.proof.measure import (
    each_relative_l2,
    faults,
    joint_relative_l2,
    maxima,
)
from zoo.proof.references import References
from zoo.proof.tolerances import Tolerance
from zoo.proof.training import training as training_steps

Arrays = dict[str, np.ndarray]


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
    yield Finding.of_each(
        "structure", candidate.label, "names and shapes", wrong, 0.0, whole=sum(wrong.values())
    )
    count = sum(found[n].size for n, p in graph.parameters.items() if p.trainable and n in found)
    difference = float(abs(count - cost(graph).params))
    yield Finding("structure", candidate.label, "parameter count", difference, 0.0)


def forward(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Evaluation mode: every operator by itself, and every node from the image on."""
    case = references.case
    values, buffers = candidate.forward(case, training=False)
    wrong = faults(values, _common(references.evaluated, candidate, case), candidate.dtype)
    gap = references.gap(training=False)
    own = _each_operator("forward", candidate, case, (values, buffers), wrong, False, gap)
    if own.errors:  # a live model of a run-time shows its outputs alone
        yield own
    errors = maxima(values, _common(references.evaluated, candidate, case), wrong)
    limit = tolerances.FORWARD.admits()
    lost = _lost(candidate, case, own.errors, every=max(errors.values(), default=0.0) > limit)
    honest = own.status != "failed"
    propagated = references.propagated(lost, training=False) if honest else {}
    admitted = {
        name: max(limit, tolerances.PROPAGATED * propagated.get(name, 0.0)) for name in errors
    }
    yield Finding.against(
        "forward", candidate.label, "every node", errors, admitted, faults=wrong, gap=gap
    )
    given = case.weights[False]
    kept = {n: given[n] for n, p in case.graph.parameters.items() if not p.trainable}
    kept = {name: array for name, array in kept.items() if name in buffers}
    if kept:  # a run-time has none that could move
        moved = maxima(buffers, kept, faults(buffers, kept, candidate.dtype))
        yield Finding.of_each(
            "forward", candidate.label, "running statistics kept", moved, 0.0, gap=gap
        )


def _lost(
    candidate: Candidate, case: Case, own: Mapping[str, float], *, every: bool
) -> dict[str, float]:
    """Return what kernels lost, which adds up: those that approximate, or every one.

    A kernel that approximates, as far as it may, is given what it adds up to. Of ordinary ones it
    is asked where values are off by more than nearly all networks make of it: behind the mean of a
    map that hardly varies, rounding is many times what it was. A node whose own error was not seen
    is taken for the worst that was.
    """
    ordinary = kernels.ordinary(candidate.dtype)
    if not every:
        return {name: error for name, error in own.items() if ordinary < error}
    worst = max(own.values(), default=ordinary)
    return {n.name: own.get(n.name, worst) for n in case.graph.nodes if n.op.traits.rounds}


def batch_statistics(candidate: Candidate, references: References) -> Iterator[Finding]:
    """Training mode: every node, and the running statistics after one batch."""
    case = references.case
    results = candidate.forward(case, training=True)
    exact = tuple(_common(e, candidate, case) for e in references.trained_forward)
    wrong = [faults(f, e, candidate.dtype) for f, e in zip(results, exact, strict=True)]
    gap = references.gap(training=True)
    own = _each_operator(
        "batch_statistics", candidate, case, results, wrong[0] | wrong[1], True, gap
    )
    yield own
    drawn = _behind_dropout(case)
    measures = (
        ("every node", tolerances.BATCH_FORWARD),
        ("running statistics", tolerances.RUNNING_STATISTICS),
    )
    propagated: dict[str, float] = {}
    for (measure, tolerance), found, right, bad, floor in zip(
        measures, results, exact, wrong, references.forward_floor, strict=True
    ):
        known = {n: a for n, a in right.items() if _node(n, case) not in drawn}
        errors = maxima(found, known, bad)
        beyond = any(error > tolerance.admits(floor[name]) for name, error in errors.items())
        if beyond and measure == "every node" and own.status != "failed":
            # The floor is of PyTorch's kernels, and others may lose more, as far as they may.
            lost = _lost(candidate, case, own.errors, every=True)
            propagated = references.propagated(lost, training=True)
        yield _against_floor(
            "batch_statistics", candidate, measure, errors, floor, tolerance,
            faults=bad, gap=gap, propagated=propagated,
        )  # fmt: skip


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
        gap = references.gap(training=training, gradients=True)
        found = candidate.gradients(references.case, training=training)
        wrong = faults(found, exact, candidate.dtype)
        errors = dict(reversed(each_relative_l2(found, exact).items()))
        yield _against_floor(
            "gradients", candidate, f"{measure}, each", errors, each_floor, tolerances.PARAMETER,
            faults=wrong, gap=gap,
        )  # fmt: skip
        whole = joint_relative_l2(found, exact)
        yield Finding(
            "gradients", candidate.label, measure, whole, tolerance.admits(floor), floor=floor,
            note=next(iter(wrong.values()), ""), gap=gap,
        )  # fmt: skip


def slope(references: References) -> Iterator[Finding]:
    """The gradients that the candidates are compared with, against differences of NumPy's loss."""
    errors = {
        "frozen batch norm": references.slope_error(training=False),
        "batch statistics": references.slope_error(training=True),
    }
    yield Finding.of_each("gradients", REFERENCE, "slope of the loss", errors, tolerances.SLOPE)


def _each_operator(
    level: str,
    candidate: Candidate,
    case: Case,
    results: tuple[Arrays, Arrays],
    wrong: Mapping[str, str],
    training: bool,
    gap: str,
) -> Finding:
    """Return the finding on what each operator made of its own inputs."""
    errors: dict[str, float] = {}
    admitted: dict[str, float] = {}
    head = head_of(case.graph)
    apart: tuple[str, ...] = ()
    if candidate.backend.FUSED and head and head.classifier is None:
        # A classifier's sums average out what fusions round. Without one the last node would be
        # blamed for it: it is compared from the image on alone.
        apart = case.graph.outputs
    for own in own_errors(
        case.graph, case.weights[training], case.images, *results, wrong, apart, training=training
    ):
        errors[own.name] = own.error
        admitted[own.name] = kernels.admitted(
            candidate.engine, own.node.op, candidate.dtype, training=training
        )
    return Finding.against(
        level, candidate.label, "each operator", errors, admitted, faults=wrong, gap=gap
    )


def _common(exact: Arrays, candidate: Candidate, case: Case) -> Arrays:
    """Return what both the reference and the candidate have."""
    names = candidate.visible(case)
    return {name: a for name, a in exact.items() if _node(name, case) in names}


def _node(name: str, case: Case) -> str:
    """Return the node of a value or of a parameter."""
    return name if name in case.graph.by_name else name.rpartition(".")[0]


def _behind_dropout(case: Case) -> set[str]:
    """Return the nodes whose values depend on what a dropout has drawn."""
    drawn: set[str] = set()
    for node in case.graph.nodes:
        if (isinstance(node.op, Dropout) and node.op.p > 0) or drawn.intersection(node.inputs):
            drawn.add(node.name)
    return drawn


def _against_floor(
    level: str,
    candidate: Candidate,
    measure: str,
    errors: dict[str, float],
    floor: Mapping[str, float],
    tolerance: Tolerance,
    *,
    faults: Mapping[str, str] | None = None,
    gap: str = "",
    propagated: Mapping[str, float] | None = None,
) -> Finding:
    """Return a finding whose names are each judged against their own floor.

    ``propagated`` is what kernels' errors add up to, where that was asked.
    """
    lost = propagated or {}
    admitted = {
        name: max(tolerance.admits(floor[name]), tolerances.PROPAGATED * lost.get(name, 0.0))
        for name in errors
    }
    return Finding.against(
        level, candidate.label, measure, errors, admitted, floors=floor, faults=faults, gap=gap
    )


LEVELS: dict[str, Callable[[Candidate, References], Iterator[Finding]]] = {
    "structure": structure,
    "forward": forward,
    "batch_statistics": batch_statistics,
    "gradients": gradients,
    "training": training_steps,
}
"""In order: a proof at one level includes those before it."""
