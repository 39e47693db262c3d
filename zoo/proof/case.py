"""The work that every backend is given: a network, weights, images, labels, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import weights as arrays
from zoo.arch import Graph, Node
from zoo.arch.operators import Dropout
from zoo.errors import InputError, unknown
from zoo.passes import Weights
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)
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
