"""The names that one network's own code base has for its arrays: a table of names, not of rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights.canonical import Weights
from weights.dialects.dialect import Dialect, Skeleton
from zoo.arch import Graph, Shape, Spec
from zoo.passes.constant import constants


@dataclass(frozen=True, kw_only=True, eq=False)
class Named(Dialect):
    """A dialect of one network: that of the module or file that it was adopted from.

    Attributes:
        of: the network.
        table: our name of an array → theirs.
        order: of arrays whose values are in another order: for each of ours, counted through,
            which of theirs.
        there: our name of an array → the shape it has there.
    """

    of: Spec
    table: Mapping[str, str]
    order: Mapping[str, np.ndarray]
    there: Mapping[str, Shape]

    @classmethod
    def network(
        cls,
        name: str,
        spec: Spec,
        table: Mapping[str, str],
        order: Mapping[str, np.ndarray],
        there: Mapping[str, Shape],
    ) -> Named:
        """Return the dialect of one network."""
        rest: dict[str, Any] = {"source": name, "framework": "torch", "conventions": None}
        return cls(
            name=name, family=spec.family, rules=(), of=spec, table=table, order=order,
            there=there, **rest,
        )  # fmt: skip

    def names(self, graph: Graph) -> dict[str, str]:
        """Return their name → canonical name."""
        return {theirs: ours for ours, theirs in self.table.items()}

    def shapes(self, graph: Graph) -> dict[str, Shape]:
        """Return the shape that each array has there, by its canonical name."""
        return {ours: self.there[ours] for ours in self.table}

    def write(self, graph: Graph, weights: Weights, *, split: bool = False) -> Weights:
        """Return the arrays under their names, in their order and shape."""
        back = {name: np.argsort(order) for name, order in self.order.items()}
        ours = reordered(weights, back)
        return {theirs: ours[name].reshape(self.there[name]) for name, theirs in self.table.items()}

    def read(self, graph: Graph, arrays: Weights) -> Weights:
        """Return canonical weights, in our order, from arrays under their names.

        Constants that their code makes for itself are the graph's.
        """
        shapes = {name: held.shape for name, held in graph.parameters.items()}
        held = {n: arrays[theirs].reshape(shapes[n]) for n, theirs in self.table.items()}
        return constants(graph) | reordered(held, self.order)

    def may_name(self, name: str) -> bool:
        """Return whether an array is called so."""
        return name in self.table.values()

    def skeleton(self, shapes: Mapping[str, Shape]) -> Skeleton:
        """Return the arrays by our names; the network is known."""
        ours = self.names(self.of.graph)
        known = {ours[name]: shape for name, shape in shapes.items() if name in ours}
        return Skeleton(known, [], [name for name in shapes if name not in ours])


def reordered(weights: Mapping[str, np.ndarray], order: Mapping[str, np.ndarray]) -> Weights:
    """Return arrays with the values of some in another order."""
    return {
        name: array.ravel()[order[name]].reshape(array.shape) if name in order else array
        for name, array in weights.items()
    }
