"""A live model as one who is judged: as it is, with hooks and whatever wraps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import backends
from zoo.blocks import places
from zoo.errors import SpecError, WeightsError
from zoo.live import get_weights, spec_of
from zoo.passes import Weights
from zoo.proof.candidate import Candidate
from zoo.proof.case import Case

LEVELS = ("structure", "forward")
"""At which the model itself is judged: the others would train it."""


@dataclass(frozen=True)
class LiveCandidate(Candidate):
    """A model that a user has in hands.

    Attributes:
        model: it.
    """

    model: Any = None

    def does(self, level: str) -> bool:
        """Return whether it takes part at a level."""
        return level in LEVELS

    def visible(self, case: Case) -> set[str]:
        """Return the nodes that are modules, those that modules read, and the outputs."""
        engine = self.backend
        graph = engine.graph_of(self.model)
        names = set(graph.outputs)
        if backends.is_editable(engine):
            for taken, returned in places(graph, engine.IDIOMS).values():
                names.update(taken, returned)
        return names & super().visible(case)

    def parameters(self, weights: Weights) -> Weights:
        """Return what the model hands out; it is not given other weights."""
        return get_weights(self.model)

    def forward(
        self, case: Case, *, training: bool, weights: Weights | None = None
    ) -> tuple[Weights, Weights]:
        """Return (value of every visible node, running statistics)."""
        engine = self.backend
        if backends.is_editable(engine):
            seen = engine.observe(self.model, case.images)
        else:
            values = engine.predict(self.model, case.images)
            narrow = (np.asarray(value, self.dtype) for value in values)
            seen = dict(zip(engine.graph_of(self.model).outputs, narrow, strict=True))
        after = get_weights(self.model)
        buffers = {n: after[n] for n, p in case.graph.parameters.items() if not p.trainable}
        return {n: seen[n] for n in case.graph.by_name if n in seen}, buffers


def of_model(
    model: Any, weights: Any, overrides: dict[str, Any], *, optimize: bool
) -> tuple[LiveCandidate, Any, Weights]:
    """Return a live model as a candidate, its spec and its weights.

    Raises:
        WeightsError: it was not made by `create`, is not a whole network, or is no longer what its
            spec says.
        SpecError: something is asked for that would make another network of it.
    """
    spec = spec_of(model, ": only whole networks are proven")
    if weights is not None:
        raise WeightsError("weights must not be given with a live model, which has its own")
    if optimize:
        raise SpecError("optimize must not be asked of a live model: it is proven as it is")
    if unknown := overrides.keys() - {"image_size"}:
        raise SpecError(f"{sorted(unknown)[0]} cannot be changed in a live model")
    spec = spec.replace(**overrides)
    engine = backends.backend_of(model)
    label = f"{backends.name_of(engine)} (live)"
    return LiveCandidate(label, engine, spec.graph, model=model), spec, get_weights(model)
