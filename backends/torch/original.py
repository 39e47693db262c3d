"""The user's own module, judged as a backend is: at all levels, under its own names.

It runs a copy of the module instead of one that is built of the graph. Values are seen where a
module of theirs ends; weights go in and gradients come out by their names.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from backends.torch import about
from backends.torch.adopt_module import tensors
from backends.torch.live import unwrap
from backends.torch.reference import PlainTrainer
from backends.torch.run import DTYPES, LEVELS
from zoo.adoption.original import RANDOM, visible
from zoo.arch import Graph
from zoo.recipes import Recipe

Arrays = dict[str, np.ndarray]


class Original:
    """See `backends.protocols.Trainable`; models are copies of one module.

    Attributes:
        module: the user's.
        theirs: our name of an array → theirs.
    """

    DTYPES, LEVELS, FUSED = DTYPES, LEVELS, False
    __name__ = "backends.torch"

    def __init__(self, module: nn.Module, theirs: Mapping[str, str]) -> None:
        self.module, self.theirs = unwrap(module), theirs
        self.describe = about.describe
        self._shapes: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}

    def visible(self, graph: Graph) -> set[str]:
        """Return the nodes whose values a module of theirs hands out, and the outputs.

        One that turns its axes there and back hands out what its layer made in another shape.
        """
        images = (2, *graph.input_shape[1:])
        if images not in self._shapes:
            made = self._seen(in_mode(self.build(graph), False), torch.zeros(images))[0]
            self._shapes[images] = {name: tuple(value.shape) for name, value in made.items()}
        called, shapes = self._shapes[images], graph.shapes(images)
        found = visible(graph, called)
        return {name for name in found if called.get(name) == shapes[name]} | set(graph.outputs)

    @staticmethod
    def _seen(model: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
        """Return (what each module hands out, numbered where it is called again; the output)."""
        seen: dict[str, torch.Tensor] = {}
        calls: Counter[str] = Counter()

        def keep(path: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                number, calls[path] = calls[path], calls[path] + 1
                if isinstance(output, torch.Tensor):
                    seen[f"{path}_{number}" if number else path] = output.detach().clone()

            return hook

        for path, part in model.named_modules():
            if path:
                part.register_forward_hook(keep(path))
        with torch.no_grad():
            return seen, model(x)

    def build(self, graph: Graph) -> nn.Module:
        """Return a copy of the module."""
        return copy.deepcopy(self.module)

    def set_parameters(self, model: nn.Module, arrays: Arrays) -> None:
        """Copy arrays into a copy, by their names; constants it makes for itself."""
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        with torch.no_grad():
            for name, array in arrays.items():
                if name in self.theirs:
                    state[self.theirs[name]].copy_(torch.from_numpy(array))

    def get_parameters(self, model: nn.Module) -> Arrays:
        """Return copies of a copy's arrays, by ours."""
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return {
            ours: state[name].detach().float().numpy().copy() for ours, name in self.theirs.items()
        }

    def forward(
        self, graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
    ) -> tuple[Arrays, Arrays]:
        """Return (the value of every node that is seen, the running statistics after the call)."""
        model = self._load(graph, weights, dtype, training)
        seen, output = self._seen(model, torch.from_numpy(x).to(getattr(torch, dtype)))
        seen |= zip(graph.outputs, _several(output, len(graph.outputs)), strict=True)
        names = self.visible(graph)
        values = {name: value.numpy() for name, value in seen.items() if name in names}
        return values, self._arrays(model, graph, trainable=False)

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
        model = self._load(graph, weights, dtype, training).requires_grad_(True)
        (logits,) = _several(model(torch.from_numpy(x).to(getattr(torch, dtype))), 1)
        loss = F.cross_entropy(logits, torch.from_numpy(y))
        loss.backward()
        parameters = dict(model.named_parameters())
        return loss.item(), {
            ours: gradient.numpy()
            for ours, name in self.theirs.items()
            if name in parameters and (gradient := parameters[name].grad) is not None
        }

    def trainer(
        self, graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False
    ) -> OriginalTrainer:
        """Return a plain loop over steps of the module, with PyTorch's own optimizer."""
        return OriginalTrainer(self, graph, weights, recipe)

    def _load(self, graph: Graph, weights: Arrays, dtype: str, training: bool) -> nn.Module:
        model = self.build(graph).to(getattr(torch, dtype))
        self.set_parameters(model, weights)
        return in_mode(model, training)

    def _arrays(self, model: nn.Module, graph: Graph, trainable: bool) -> Arrays:
        found = self.get_parameters(model)
        return {n: a for n, a in found.items() if graph.parameters[n].trainable == trainable}


class OriginalTrainer(PlainTrainer):
    """See `backends.protocols.Trainer`."""

    rank, world = 0, 1

    def __init__(self, engine: Original, graph: Graph, weights: Arrays, recipe: Recipe) -> None:
        self.engine = engine
        model = in_mode(engine.build(graph).requires_grad_(True), True)
        engine.set_parameters(model, weights)
        names = {name: ours for ours, name in engine.theirs.items()}
        super().__init__(graph, model, recipe, torch.float32, torch.contiguous_format, names=names)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the loss is of: without auxiliary logits."""
        return _several(self.module(x), 1)[0]

    def restore(self, weights: Arrays, slots: dict[str, Arrays], steps: int) -> None:
        """Start again; what an optimizer remembers is never given back to it here."""
        assert not slots
        self.engine.set_parameters(self.module, weights)
        self.start()

    def place(self, model: Any) -> Any:
        """Return the model, which is on the CPU as this one."""
        return model

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the values: there is one process."""
        return values


def in_mode(model: nn.Module, training: bool) -> nn.Module:
    """Return a model in a mode, with nothing that draws."""
    model.train(training)
    for part in model.modules():
        if any(name in type(part).__name__ for name in RANDOM):
            part.eval()
    return model


def _several(output: Any, count: int) -> tuple[torch.Tensor, ...]:
    """Return the tensors of an output that were adopted: in training, auxiliary ones follow."""
    return tensors(output)[:count]
