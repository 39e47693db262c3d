"""The level *training*: the trainer that `zoo train` runs, against a plain loop of PyTorch's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from zoo.proof.candidate import Candidate
from zoo.proof.finding import Finding
from zoo.proof.references import References
from zoo.proof.steps import TOLERANCES, compare, step_faults
from zoo.proof.variants import DEFAULT


def training(candidate: Candidate, references: References) -> Iterator[Finding]:
    """The optimizer's steps and what it remembers, in every variant that is asked for."""
    case = references.case
    gap = references.gap(training=True, gradients=True)
    for variant in case.variants:
        reference = references.training(variant)
        run = candidate.training(case, reference.work)
        wrong = step_faults(run, reference.run, candidate.dtype)
        prefix = "" if variant == DEFAULT else f"{variant}: "
        for measure, errors in compare(run, reference.run, wrong["running statistics"]).items():
            floors = defaultdict(float, reference.floors[measure])
            admitted = {name: TOLERANCES[measure].admits(floors[name]) for name in errors}
            yield Finding.against(
                "training",
                candidate.label,
                prefix + measure,
                errors,
                admitted,
                floors=floors,
                faults=wrong.get(measure),
                gap=gap,
            )
