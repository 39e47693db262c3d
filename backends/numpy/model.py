"""A graph as a callable: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backends.numpy.operators import Arrays, apply
from zoo.arch import INPUT, Graph
from zoo.arch.described import Described, described
from zoo.errors import InputError


class Model(Described):
    """A network that runs in NumPy, with PyTorch's ``train()`` and ``eval()``.

    (N, C, H, W) -> the graph's output, or a tuple where several were asked for. Starts in
    evaluation mode, with parameters of zeros; `backends.numpy.set_parameters` fills them.

    Attributes:
        graph: what it runs.
        arrays: canonical name → array. Training-mode calls update the running statistics in place.
        training: whether batch norm uses the statistics of the batch.
    """

    def __init__(self, graph: Graph, dtype: str = "float64") -> None:
        self.graph = graph
        vars(self).update(described(graph))
        self.dtype = np.dtype(dtype)
        # Weights are kept as they come, in float32, and widened node by node: half the memory.
        self.arrays: Arrays = {
            name: np.zeros(parameter.shape, np.float32 if parameter.trainable else dtype)
            for name, parameter in graph.parameters.items()
        }
        self.training = False

    def train(self, mode: bool = True) -> Model:
        """Set training mode, in which batch norm uses the statistics of the batch."""
        self.training = mode
        return self

    def eval(self) -> Model:
        """Set evaluation mode."""
        return self.train(False)

    def __call__(self, x: np.ndarray) -> Any:
        """Run the network in its dtype and return its output, or a tuple of several.

        Raises:
            InputError: the input has the wrong rank, channels or size, or is no array of numbers.
        """
        try:
            x = np.asarray(x, self.dtype)
        except (TypeError, ValueError):
            raise InputError("input: must be an array of numbers") from None
        self.graph.check_input(x.shape)
        wanted = dict.fromkeys(self.graph.outputs)
        found = {name: value for name, value in self.values(x) if name in wanted}
        values = tuple(found[name] for name in self.graph.outputs)
        return values if self.graph.returns_tuple else values[0]

    def values(self, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Run the network and yield every value under its name, keeping only what is still read."""
        alive = {INPUT: np.asarray(x, self.dtype)}
        yield INPUT, alive[INPUT]
        last = self.graph.last_reader()
        for i, node in enumerate(self.graph.nodes):
            held = {
                role: self.arrays[f"{node.name}.{role}"].astype(self.dtype, copy=False)
                for role in node.op.parameters()
            }
            value = apply(node.op, [alive[name] for name in node.inputs], held, self.training)
            yield node.name, value
            alive[node.name] = value
            alive = {name: kept for name, kept in alive.items() if last.get(name, -1) > i}


def build(graph: Graph) -> Model:
    """Return the reference model of a graph, in float64."""
    return Model(graph)


def freeze(model: Model) -> Model:
    """Return the model in evaluation mode."""
    return model.eval()


def is_model(candidate: object) -> bool:
    """Return whether ``candidate`` is a model of this backend."""
    return isinstance(candidate, Model)
