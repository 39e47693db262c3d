"""``zoo parity --mutants``: for those who doubt that a proof can fail, mistakes to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.families import spec
from zoo.loading import Network, opened
from zoo.output import Progress
from zoo.proof.mutants.run import Bench, Verdict, tasks

EACH = 20
"""Mutants that each backend is given."""


def doubt(
    model: Network,
    *,
    backends: Sequence[str],
    level: str,
    seed: int = 0,
    images: np.ndarray | None = None,
    each: int = EACH,
    progress: Progress | None = None,
    **overrides: Any,
) -> list[Verdict]:
    """Return what became of some mutants of a network, drawn from all that a proof could see.

    Args:
        model: as for `zoo.parity`, but no live one.
        backends: names of backends.
        level: the level of the proof: what only shows above it is not asked for.
        seed: of weights and images.
        images: as for `zoo.parity`.
        each: how many mutants each backend is given.
        progress: told of every mutant.
        **overrides: fields of the spec.
    """
    wanted = spec(opened(model), **overrides)
    bench = Bench(model if isinstance(model, str) else "it", wanted.graph, seed=seed, images=images)
    chosen = [t for name in backends for t in tasks(bench.graph, [name], "first", each, level)]
    found = []
    for number, (name, mutant) in enumerate(chosen):
        if progress:
            progress(f"mutants: {name}", number, len(chosen))
        found.append(bench.judge(mutant, name))
    return found
