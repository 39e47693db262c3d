"""A module seen as the network that it was recognized as, or as the graph that was read of it.

It is run by its own names and shapes, in its own order of channels. Weights go in and values,
gradients and what an optimizer remembers come out under ours, in ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from weights import Weights, reordered
from zoo.adoption.recognize import Recognized
from zoo.arch import Graph, Shape
from zoo.arch.operators import ReLU

if TYPE_CHECKING:
    from zoo.recipes import Recipe


class Translated:
    """See `backends.protocols.Trainable`."""

    def __init__(self, engine: Any, known: Recognized, there: Mapping[str, Shape]) -> None:
        self._engine, self._known, self._there = engine, known, there
        self._here = {name: held.shape for name, held in known.spec.graph.parameters.items()}
        self._back = {name: np.argsort(order) for name, order in known.values.items()}
        self.DTYPES, self.LEVELS, self.FUSED = engine.DTYPES, engine.LEVELS, engine.FUSED
        self.__name__, self.describe = engine.__name__, engine.describe
        self._nodes = {**known.nodes, **_rectified(known)}
        self._nodes |= zip(known.spec.graph.outputs, known.graph.outputs, strict=True)

    def visible(self, graph: Graph) -> set[str]:
        """Return the nodes whose values a module of theirs hands out, and the outputs."""
        seen = self._engine.visible(self._known.graph)
        return {ours for ours, theirs in self._nodes.items() if theirs in seen}

    def build(self, graph: Graph) -> Any:
        """Return a copy of the module."""
        return self._engine.build(self._known.graph)

    def set_parameters(self, model: Any, arrays: Weights) -> None:
        """Copy arrays into a copy."""
        self._engine.set_parameters(model, self.theirs(arrays))

    def get_parameters(self, model: Any) -> Weights:
        """Return copies of a copy's arrays."""
        return self.ours(self._engine.get_parameters(model))

    def forward(
        self, graph: Graph, weights: Weights, x: np.ndarray, *, training: bool, dtype: str
    ) -> tuple[Weights, Weights]:
        """Return (the value of every node that is seen, the running statistics after the call)."""
        values, statistics = self._engine.forward(
            self._known.graph, self.theirs(weights), x, training=training, dtype=dtype
        )
        found = {}
        for ours, theirs in self._nodes.items():
            if theirs in values:
                order = self._order(ours)
                found[ours] = values[theirs] if order is None else values[theirs][:, order]
        return found, self.ours(statistics)

    def gradients(
        self,
        graph: Graph,
        weights: Weights,
        x: np.ndarray,
        y: np.ndarray,
        *,
        training: bool,
        dtype: str,
    ) -> tuple[float, Weights]:
        """Return (mean cross-entropy, its gradient for every trained parameter)."""
        loss, gradients = self._engine.gradients(
            self._known.graph, self.theirs(weights), x, y, training=training, dtype=dtype
        )
        return loss, self.ours(gradients)

    def trainer(self, graph: Graph, weights: Weights, recipe: Recipe, **how: Any) -> Steps:
        """Return what takes steps of the module."""
        made = self._engine.trainer(self._known.graph, self.theirs(weights), recipe, **how)
        return Steps(made, self)

    def ours(self, arrays: Mapping[str, np.ndarray]) -> Weights:
        """Return arrays under our names, in our order and shape."""
        named = {
            f"{ours}.{role}": arrays[f"{theirs}.{role}"]
            for ours, theirs in self._known.nodes.items()
            for role in self._known.graph.by_name[theirs].op.parameters()
            if f"{theirs}.{role}" in arrays
        }
        found = reordered(named, self._known.values)
        return {name: array.reshape(self._here[name]) for name, array in found.items()}

    def theirs(self, arrays: Mapping[str, np.ndarray]) -> Weights:
        """Return arrays under their names, in their order and shape."""
        found = reordered(arrays, self._back)
        split = ((*name.rpartition("."), name, array) for name, array in found.items())
        return {
            f"{self._known.nodes[node]}.{role}": array.reshape(self._there.get(name, array.shape))
            for node, _, role, name, array in split
        }

    def _order(self, name: str) -> np.ndarray | None:
        graph = self._known.spec.graph
        while name in graph.by_name and isinstance(graph.by_name[name].op, ReLU):
            name = graph.by_name[name].inputs[0]
        return self._known.channels.get(name)


class Steps:
    """See `backends.Steps`: a trainer of theirs, by our names."""

    def __init__(self, trainer: Any, names: Translated) -> None:
        self._trainer, self._names = trainer, names

    def step(self, *args: Any, **options: Any) -> Any:
        """Take one step."""
        return self._trainer.step(*args, **options)

    def weights(self) -> Weights:
        """Return all arrays."""
        return self._names.ours(self._trainer.weights())

    def slots(self) -> dict[str, Weights]:
        """Return what the optimizer remembers."""
        return {slot: self._names.ours(held) for slot, held in self._trainer.slots().items()}

    def restore(self, weights: Weights, slots: dict[str, Weights], steps: int) -> None:
        """Start again."""
        self._trainer.restore(self._names.theirs(weights), slots, steps)


def _rectified(known: Recognized) -> dict[str, str]:
    """Return our name of each ReLU of a node that computes → that of their only one."""
    found = {}
    for node in known.spec.graph.nodes:
        read = known.nodes.get(node.inputs[0]) if isinstance(node.op, ReLU) else None
        if read is not None:
            theirs = [n.name for n in known.graph.nodes if n.inputs == (read,)]
            if len(theirs) == 1 and isinstance(known.graph.by_name[theirs[0]].op, ReLU):
                found[node.name] = theirs[0]
    return found
