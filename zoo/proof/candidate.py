"""Who is judged: a backend, and the form of the network that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import backends
from backends import Runtime, Steps
from zoo.arch import Graph
from zoo.passes import Rewrite, Weights, merge_group_conv
from zoo.proof.case import Case, without_dropout
from zoo.proof.steps import Run, Work, take


@dataclass(frozen=True)
class Candidate:
    """A backend and the form of the network it runs.

    Attributes:
        label: what reports call it.
        backend: the engine.
        graph: what it runs, with the nodes of the case's graph under the same names. Tests put
            another network here to see it caught.
        realize: the pass that writes group convolutions as it is to run them.
        dtype: ``"float32"``, or ``"float64"`` for references.
    """

    label: str
    backend: Runtime[Any]
    graph: Graph
    realize: Rewrite = merge_group_conv
    dtype: str = "float32"

    @property
    def engine(self) -> str:
        """The name of the backend."""
        return backends.name_of(self.backend)

    def does(self, level: str) -> bool:
        """Return whether it takes part at a level."""
        return level in self.backend.LEVELS

    def expected(self, case: Case) -> Graph:
        """Return the network that the candidate should run: the case's, realized its way."""
        return merge_group_conv(self.realize(case.graph)[0])[0]

    def visible(self, case: Case) -> set[str]:
        """Return the nodes whose values it shows."""
        return {node.name for node in self.expected(case).nodes}

    def parameters(self, weights: Weights) -> Weights:
        """Return what a live model hands out after the weights were set."""
        graph, found = self.realize(self.graph, weights)
        model = self.backend.build(graph)
        self.backend.set_parameters(model, found)
        return merge_group_conv(graph, self.backend.get_parameters(model))[1]

    def forward(
        self, case: Case, *, training: bool, weights: Weights | None = None
    ) -> tuple[Weights, Weights]:
        """Return (value of every node that the case's network has too, running statistics)."""
        graph, found = self.realize(self.graph, weights or case.weights[training])
        values, buffers = self.backend.forward(
            graph, found, case.images, training=training, dtype=self.dtype
        )
        kept = case.graph.by_name
        names = [node.name for node in self.expected(case).nodes if node.name in kept]
        return {name: values[name] for name in names if name in values}, buffers

    def gradients(self, case: Case, *, training: bool, weights: Weights | None = None) -> Weights:
        """Return the gradient of the loss for every trained parameter."""
        graph, found = self.realize(without_dropout(self.graph), weights or case.weights[training])
        assert backends.differentiates(self.backend)
        _, gradients = self.backend.gradients(
            graph, found, case.images, case.labels, training=training, dtype=self.dtype
        )
        return merge_group_conv(graph, gradients)[1]

    def training(self, case: Case, work: Work) -> Run:
        """Return what the backend's trainer makes of the work."""
        graph, found = self.realize(without_dropout(self.graph), case.weights[True])
        assert backends.trains(self.backend)
        trainer = self.backend.trainer(graph, found, work.recipe)
        fresh = [trainer]

        def start() -> Steps:
            if not fresh:
                trainer.restore(found, {}, 0)
            fresh.clear()
            return trainer

        return take(
            case, work, case.weights[True], start, lambda arrays: merge_group_conv(graph, arrays)[1]
        )
