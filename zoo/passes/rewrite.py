"""What a rewrite is: a function of a graph and its weights that returns both.

It keeps the function of the network. The weights may be those of some parameters only, or
gradients, or absent: arrays under parameter names, moved about as the parameters are.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from zoo.arch.graph import Graph

Weights = dict[str, np.ndarray]
"""Canonical name (node + role) → array."""


class Rewrite(Protocol):
    """A pass over a graph and its weights."""

    def __call__(self, graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
        """Return the rewritten graph and weights; the arguments are left as they are."""
        ...
