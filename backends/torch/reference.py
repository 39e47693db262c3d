"""Training the way a page of PyTorch's documentation does it: what trainers are compared with.

Nothing here is shared with the trainers: a mistake would have to be made twice to go unnoticed. The
network is `build`'s, which the levels below training have proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from backends.torch.model import build, in_layout
from backends.torch.parameters import set_parameters
from zoo.arch import Graph
from zoo.recipes import SGD, Recipe

Arrays = dict[str, np.ndarray]


class PlainTrainer:
    """See `backends.Steps`; arrays come out in the dtype that was asked for.

    Args:
        graph: the network.
        module: it, in training mode.
        recipe: what to train it by.
        dtype: of everything.
        layout: of values in memory.
        names: the module's names of arrays → the graph's, where they differ.
    """

    def __init__(
        self,
        graph: Graph,
        module: nn.Module,
        recipe: Recipe,
        dtype: torch.dtype,
        layout: torch.memory_format,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.graph, self.recipe, self.dtype, self.layout = graph, recipe, dtype, layout
        self.module = in_layout(module.to(dtype), layout)
        held = (*module.state_dict(), *dict(module.named_parameters()))
        self.names = names if names is not None else {name: name for name in held}
        self.start()

    def start(self) -> None:
        """Begin with an optimizer that remembers nothing."""
        self.optimizer = _optimizer(self.module, self.recipe)

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        """Take a step of the optimizer."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if isinstance(self.recipe.optimizer, SGD):
                own = self.recipe.optimizer.momentum
                group["momentum"] = own if momentum is None else momentum
            else:
                first, second = self.recipe.optimizer.betas
                group["betas"] = (first if momentum is None else momentum, second)
        self.optimizer.zero_grad()
        total, classes = 0.0, []
        for x, y in zip(self._parts(images), self._parts(targets), strict=True):
            logits = self.logits(x.contiguous(memory_format=self.layout))
            loss = F.cross_entropy(logits, y) * len(x) / len(images)
            loss.backward()
            total += loss.item()
            classes.append(logits.argmax(1).numpy())
        if self.recipe.clip_value is not None:
            torch.nn.utils.clip_grad_value_(self.module.parameters(), self.recipe.clip_value)
        if self.recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return total, np.concatenate(classes)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the loss is of."""
        found: torch.Tensor = self.module(x)
        return found

    def _parts(self, array: np.ndarray) -> Iterator[torch.Tensor]:
        for part in np.array_split(array, min(self.recipe.accumulate, len(array))):
            yield torch.from_numpy(part).to(self.dtype)

    def weights(self) -> Arrays:
        """Return copies of parameters and running statistics."""
        # Buffers that no file has too.
        state = dict((*self.module.named_parameters(), *self.module.named_buffers()))
        found = {ours: state[name].detach().numpy().copy() for name, ours in self.names.items()}
        return {name: found[name] for name in self.graph.parameters if name in found}

    def slots(self) -> dict[str, Arrays]:
        """Return copies of what the optimizer remembers."""
        found: dict[str, Arrays] = {}
        for name, parameter in self.module.named_parameters():
            for slot, value in self.optimizer.state[parameter].items():
                if slot != "step" and value is not None:
                    found.setdefault(slot, {})[self.names[name]] = value.numpy().copy()
        return found


def plain_trainer(
    graph: Graph,
    weights: Arrays,
    recipe: Recipe,
    *,
    dtype: Literal["float32", "float64"] = "float32",
    channels_last: bool = False,
) -> PlainTrainer:
    """Return what a trainer of these arguments is compared with.

    Args:
        graph: the network.
        weights: canonical name → array.
        recipe: what to train it by.
        dtype: of everything.
        channels_last: how values lie in memory. PyTorch has other kernels then, which round
            otherwise: their batch norms add up in float32 what the others do in float64.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    module = build(graph).train()
    trainer = PlainTrainer(graph, module, recipe, getattr(torch, dtype), layout)
    set_parameters(module, weights)
    return trainer


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    wanted = recipe.optimizer
    plain: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for layer in module.modules():
        for role, parameter in layer.named_parameters(recurse=False):
            norm = isinstance(layer, nn.BatchNorm2d)
            free = {"all": False, "not_norm": norm, "weights": norm or role == "bias"}
            (spared if free[wanted.decayed] else plain).append(parameter)
    groups = [
        {"params": plain, "weight_decay": wanted.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    if isinstance(wanted, SGD):
        return torch.optim.SGD(
            groups, lr=wanted.lr, momentum=wanted.momentum, nesterov=wanted.nesterov
        )
    kind = torch.optim.AdamW if wanted.decoupled else torch.optim.Adam
    return kind(groups, lr=wanted.lr, betas=wanted.betas, eps=wanted.eps)
