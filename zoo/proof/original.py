"""The module that a network was adopted from, as one who is judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import backends
from zoo.adoption.recognize import Recognized
from zoo.arch import Spec
from zoo.errors import AdoptionError, SpecError, ZooError
from zoo.passes import Weights
from zoo.proof.candidate import Candidate
from zoo.proof.case import Case
from zoo.proof.steps import Run, Work
from zoo.proof.translated import Translated

ORIGINAL = "original"
"""What stands for it among the names of backends."""


@dataclass(frozen=True)
class OriginalCandidate(Candidate):
    """A user's own module, by the names that it shares with the graph.

    Attributes:
        constants: the arrays that it makes for itself.
    """

    constants: tuple[str, ...] = ()

    def visible(self, case: Case) -> set[str]:
        """Return the nodes that end a module of theirs, and the outputs."""
        engine: Any = self.backend
        found: set[str] = engine.visible(case.graph)
        return found & super().visible(case)

    def forward(
        self, case: Case, *, training: bool, weights: Weights | None = None
    ) -> tuple[Weights, Weights]:
        """Return (value of every node that is seen, running statistics)."""
        with _told(case, training):
            return super().forward(case, training=training, weights=weights)

    def gradients(self, case: Case, *, training: bool, weights: Weights | None = None) -> Weights:
        """Return the gradient of the loss for every trained parameter."""
        with _told(case, training):
            return super().gradients(case, training=training, weights=weights)

    def training(self, case: Case, work: Work) -> Run:
        """Return what steps of the module come to; what it makes for itself stays as it is."""
        with _told(case, True):
            run = super().training(case, work)
        kept = {name: case.weights[True][name] for name in self.constants}
        return replace(run, statistics=kept | dict(run.statistics))

    def parameters(self, weights: Weights) -> Weights:
        """Return what the module hands out; the constants it makes for itself are ours."""
        found = super().parameters(weights)
        return {name: weights[name] for name in self.constants} | found


@contextmanager
def _told(case: Case, training: bool) -> Iterator[None]:
    """Tell whose fault it is where a user's own code fails.

    In training some compute more than was adopted: auxiliary heads, for which images may be small.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:  # whatever it raises
        mode = "training" if training else "evaluation"
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise AdoptionError(
            f"backend {ORIGINAL!r}: the module cannot run in {mode} mode on images "
            f"{case.images.shape}: {type(error).__name__}: {reason}"
        ) from error


def of_original(model: Any, spec: Spec, *, optimize: bool) -> OriginalCandidate:
    """Return what a network was adopted from as a candidate.

    Raises:
        SpecError: it was not adopted from a live module, or is proven in another form or size.
    """
    source = getattr(model, "original", None)
    if source is None:
        raise SpecError(
            f"backend {ORIGINAL!r}: only of a network that zoo.adopt made of a module, "
            "whose arrays are its own"
        )
    if optimize or spec.graph.parameters != model.spec.graph.parameters:
        raise SpecError(f"backend {ORIGINAL!r}: the module is proven as it is")
    constants = tuple(name for name, p in spec.graph.parameters.items() if p.value)
    return OriginalCandidate(ORIGINAL, original_of(model), spec.graph, constants=constants)


def original_of(net: Any) -> Any:
    """Return what runs the module of an adopted network, by our names; see `backends.Trainable`."""
    _, reader = backends.way_in(net.original)
    known = net.recognized
    if known is None:
        shapes = {name: held.shape for name, held in net.graph.parameters.items()}
        if all(shape == shapes[name] for name, shape in net.shapes.items()):
            return reader.original(net.original, net.theirs)
        known = Recognized.as_read(net.spec)
    theirs = {
        f"{name}.{role}": net.theirs[f"{ours}.{role}"]
        for ours, name in known.nodes.items()
        for role in known.graph.by_name[name].op.parameters()
        if f"{ours}.{role}" in net.theirs
    }
    return Translated(reader.original(net.original, theirs), known, net.shapes)
