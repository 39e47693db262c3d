"""The work that every backend is given: a network, weights, images, labels, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import weights as arrays
from backends import Backend, Steps
from zoo.arch import Graph, Node
from zoo.arch.operators import Dropout
from zoo.errors import InputError, unknown
from zoo.passes import Rewrite, Weights, merge_group_conv
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)
from zoo.proof.training import Run, Work, take
from zoo.proof.variants import DEFAULT, VARIANTS

STEPS = 3
"""Of the training level, where nobody asks for more: two to remember, and one that moves."""


@dataclass(frozen=True)
class Case:
    """The same work for everyone.

    Attributes:
        graph: the network, in canonical form.
        weights: training mode → canonical name → float32 array.
        images: float32 (N, C, H, W).
        labels: int64 (N,).
        seed: of what was drawn, and of what the training level draws.
        steps: of the training level.
        variants: of the training level, see `zoo.proof.variants`.
    """

    graph: Graph
    weights: Mapping[bool, Weights]
    images: np.ndarray
    labels: np.ndarray
    seed: int
    steps: int
    variants: tuple[str, ...]

    @cached_property
    def settled(self) -> Graph:
        """The network without the draws of dropout: what can be compared beyond a single node."""
        return without_dropout(self.graph)


@dataclass(frozen=True)
class Candidate:
    """A backend and the form of the network it runs.

    Attributes:
        label: what reports call it.
        backend: the engine.
        graph: what it runs, with the nodes of the case's graph under the same names. Tests put
            another network here to see it caught.
        realise: the pass that writes group convolutions as it is to run them.
        dtype: ``"float32"``, or ``"float64"`` for references.
    """

    label: str
    backend: Backend
    graph: Graph
    realise: Rewrite = merge_group_conv
    dtype: str = "float32"

    @property
    def engine(self) -> str:
        """The name of the backend."""
        return str(getattr(self.backend, "__name__", "")).rpartition(".")[2]

    def expected(self, case: Case) -> Graph:
        """Return the network that the candidate should run: the case's, realised its way."""
        return merge_group_conv(self.realise(case.graph)[0])[0]

    def parameters(self, weights: Weights) -> Weights:
        """Return what a live model hands out after the weights were set."""
        graph, found = self.realise(self.graph, weights)
        model = self.backend.build(graph)
        self.backend.set_parameters(model, found)
        return merge_group_conv(graph, self.backend.get_parameters(model))[1]

    def forward(
        self, case: Case, *, training: bool, weights: Weights | None = None
    ) -> tuple[Weights, Weights]:
        """Return (value of every node that the case's network has too, running statistics)."""
        graph, found = self.realise(self.graph, weights or case.weights[training])
        values, buffers = self.backend.forward(
            graph, found, case.images, training=training, dtype=self.dtype
        )
        kept = case.graph.by_name
        names = [node.name for node in self.expected(case).nodes if node.name in kept]
        return {name: values[name] for name in names if name in values}, buffers

    def gradients(self, case: Case, *, training: bool, weights: Weights | None = None) -> Weights:
        """Return the gradient of the loss for every trained parameter."""
        graph, found = self.realise(without_dropout(self.graph), weights or case.weights[training])
        _, gradients = self.backend.gradients(
            graph, found, case.images, case.labels, training=training, dtype=self.dtype
        )
        return merge_group_conv(graph, gradients)[1]

    def training(self, case: Case, work: Work) -> Run:
        """Return what the backend's trainer makes of the work."""
        graph, found = self.realise(without_dropout(self.graph), case.weights[True])
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


def without_dropout(graph: Graph) -> Graph:
    """Return a graph whose dropouts let everything pass: masks are each framework's own.

    What a dropout itself does is looked at node by node, see `zoo.proof.local`.
    """
    nodes = tuple(
        Node(n.name, replace(n.op, p=0.0), n.inputs) if isinstance(n.op, Dropout) else n
        for n in graph.nodes
    )
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes)


def make_case(
    graph: Graph,
    *,
    seed: int,
    images: np.ndarray | None,
    weights: Mapping[str, np.ndarray] | None,
    steps: int = STEPS,
    modes: Sequence[bool] = (False, True),
    variants: Sequence[str] = (DEFAULT,),
) -> Case:
    """Return the work, with drawn images and well-conditioned weights where none are given.

    Weights are made for the ``modes`` (whether in training) that will be run.

    Raises:
        InputError: the images do not fit the network, or there are too few steps.
        UnknownNameError: there is no such variant.
        WeightsError: the weights do not fit the network.
    """
    if steps < 2:
        raise InputError(f"steps (={steps}) must be at least 2: the first remembers no others")
    variants = [variants] if isinstance(variants, str) else list(dict.fromkeys(variants))
    for variant in variants:
        if variant not in VARIANTS:
            raise unknown("variant", variant, VARIANTS)
    rng = np.random.default_rng(seed)
    if images is None:
        images = well_conditioned_images(graph, well_conditioned_batch(graph), rng)
    images = np.ascontiguousarray(images, np.float32)
    graph.check_input(images.shape)
    if len(images) < 2:
        raise InputError(
            f"images: N (={len(images)}) must be at least 2: batch statistics need several values"
        )
    if weights is None:
        found = {
            mode: well_conditioned_weights(without_dropout(graph), images, seed, mode)
            for mode in modes
        }
    else:
        found = dict.fromkeys(modes, arrays.check(graph, weights))
    classes = graph.shapes()[graph.outputs[0]][1]
    labels = rng.integers(0, classes, len(images))
    return Case(graph, found, images, labels, seed, steps, tuple(variants))
