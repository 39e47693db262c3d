"""The user's own Cell, judged as a backend is: at all levels, under its own names.

It runs copies of the Cell, in PyNative mode, instead of one that is built of the graph. Values are
seen where a Cell of theirs ends; weights go in and gradients come out by their names.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindspore.about import describe
from backends.mindspore.model import LOCK
from backends.mindspore.run import DTYPES, LEVELS, Gradients, graph_mode, pynative
from backends.mindspore.trainer import Trainer
from zoo.adoption.original import RANDOM, visible
from zoo.arch import Graph
from zoo.recipes import Recipe

Arrays = dict[str, np.ndarray]


class Original:
    """See `backends.protocols.Trainable`; models are copies of one Cell.

    Attributes:
        cell: the user's.
        theirs: our name of an array → theirs.
    """

    DTYPES, LEVELS, FUSED = DTYPES, LEVELS, False
    __name__ = "backends.mindspore"

    def __init__(self, cell: nn.Cell, theirs: Mapping[str, str]) -> None:
        self.cell, self.theirs, self.describe = cell, theirs, describe

    def visible(self, graph: Graph) -> set[str]:
        """Return the nodes whose values a Cell of theirs hands out, and the outputs."""
        return visible(graph, (path for path, _ in self.cell.cells_and_names()))

    def build(self, graph: Graph) -> nn.Cell:
        """Return a copy of the Cell."""
        return copy.deepcopy(self.cell)

    def parameters(self, model: nn.Cell) -> dict[str, Parameter]:
        """Return our name → their parameter."""
        found = {p.name: p for p in model.get_parameters()}
        return {ours: found[name] for ours, name in self.theirs.items()}

    def set_parameters(self, model: nn.Cell, arrays: Arrays) -> None:
        """Copy arrays into a copy, by their names; constants it makes for itself."""
        found = self.parameters(model)
        for name, parameter in found.items():
            if name in arrays:
                parameter.set_data(Tensor(arrays[name], parameter.dtype))

    def get_parameters(self, model: nn.Cell) -> Arrays:
        """Return copies of a copy's arrays, by ours."""
        return {n: p.asnumpy().astype(np.float32) for n, p in self.parameters(model).items()}

    def forward(
        self, graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
    ) -> tuple[Arrays, Arrays]:
        """Return (the value of every node that is seen, the running statistics after the call)."""
        model = self._load(graph, weights, training)
        seen: Arrays = {}
        calls: Counter[str] = Counter()

        def keep(path: str) -> Any:
            def hook(cell: nn.Cell, inputs: Any, output: Any) -> None:
                number, calls[path] = calls[path], calls[path] + 1
                if isinstance(output, Tensor):
                    seen[f"{path}_{number}" if number else path] = output.asnumpy().copy()

            return hook

        for path, cell in model.cells_and_names():
            if path:
                cell.register_forward_hook(keep(path))
        with interpreted():
            output = model(Tensor(x.astype(dtype)))
        several = output if isinstance(output, tuple) else (output,)
        outputs = (value.asnumpy().copy() for value in several[: len(graph.outputs)])
        seen |= zip(graph.outputs, outputs, strict=True)
        names, found = self.visible(graph), self.get_parameters(model)
        statistics = {n: a for n, a in found.items() if not graph.parameters[n].trainable}
        return {name: value for name, value in seen.items() if name in names}, statistics

    def gradients(
        self,
        graph: Graph,
        weights: Arrays,
        x: np.ndarray,
        y: np.ndarray,
        *,
        training: bool,
        dtype: str,
    ) -> tuple[float, Arrays]:
        """Return (mean cross-entropy, its gradient for every trained parameter)."""
        model = self._load(graph, weights, training)
        trained = trainable(graph, self.parameters(model))
        with interpreted():
            step = Gradients(Logits(model), list(trained.values()))
            loss, found = step(Tensor(x.astype(dtype)), Tensor(y.astype(np.int32)))
        arrays = (gradient.asnumpy().copy() for gradient in found)
        return float(loss.asnumpy()), dict(zip(trained, arrays, strict=True))

    def trainer(
        self, graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False
    ) -> OriginalTrainer:
        """Return steps of the Cell, by the optimizers that ours are trained by."""
        return OriginalTrainer(self, graph, weights, recipe)

    def _load(self, graph: Graph, weights: Arrays, training: bool) -> nn.Cell:
        model = self.build(graph)
        self.set_parameters(model, weights)
        return in_mode(model, training)


class Logits(nn.Cell):
    """A Cell without the auxiliary logits that it returns in training."""

    def __init__(self, cell: nn.Cell) -> None:
        # Without a prefix the parameters keep the names that they have in the Cell.
        super().__init__(auto_prefix=False)
        self.cell = cell

    def construct(self, x: Tensor) -> Tensor:
        found = self.cell(x)
        return found[0] if isinstance(found, tuple) else found


class OriginalTrainer(Trainer):
    """See `backends.protocols.Trainer`."""

    def __init__(self, engine: Original, graph: Graph, weights: Arrays, recipe: Recipe) -> None:
        self.engine = engine
        with interpreted():
            super().__init__(graph, weights, recipe)
        in_mode(self.network, True)  # the step has put all that is in it into training

    def make(self) -> tuple[nn.Cell, dict[str, Parameter], Parameter | None]:
        """Return a copy of the Cell, its parameters, and no key: nothing draws."""
        model = in_mode(self.engine.build(self.graph), True)
        found = self.engine.parameters(model)
        trainable(self.graph, found)
        return Logits(model), found, None

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        """Take a step of the optimizer."""
        with interpreted():
            return super().step(images, targets, lr=lr, momentum=momentum)


@contextmanager
def interpreted() -> Iterator[None]:
    """Have PyNative mode: hooks are called, and nothing is compiled for the few calls there are."""
    with LOCK, pynative(), graph_mode():
        yield


def trainable(graph: Graph, found: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the parameters that the graph trains, able to be."""
    trained = {name: found[name] for name, p in graph.parameters.items() if p.trainable}
    for parameter in trained.values():
        parameter.requires_grad = True
    return trained


def in_mode(model: nn.Cell, training: bool) -> nn.Cell:
    """Return a model in a mode, with nothing that draws."""
    model.set_train(training)
    for _, cell in model.cells_and_names():
        if any(name in type(cell).__name__ for name in RANDOM):
            cell.set_train(False)
    return model
