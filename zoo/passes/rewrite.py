"""What a rewrite is: a function of a graph and its weights that returns both.

It keeps the function of the network. The weights may be those of some parameters only, or
gradients, or absent: arrays under parameter names, moved about as the parameters are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from zoo.arch.graph import Graph, Node

Weights = dict[str, np.ndarray]
"""Canonical name (node + role) → array."""


class Rewrite(Protocol):
    """A pass over a graph and its weights."""

    def __call__(self, graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
        """Return the rewritten graph and weights; the arguments are left as they are."""
        ...


def count_readers(graph: Graph) -> dict[str, int]:
    """Return how often each value is read, by nodes and as an output."""
    counts = dict.fromkeys((node.name for node in graph.nodes), 0)
    for name in (*graph.outputs, *(name for node in graph.nodes for name in node.inputs)):
        counts[name] = counts.get(name, 0) + 1
    return counts


def ordered(nodes: Iterable[Node], arrays: Mapping[str, np.ndarray]) -> Weights:
    """Return the arrays of these nodes, in the order of the nodes."""
    names = (f"{node.name}.{role}" for node in nodes for role in node.op.parameters())
    return {name: arrays[name] for name in names if name in arrays}
