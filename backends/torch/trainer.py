"""A network in training, in PyTorch, on one device or several processes (`torchrun`).

Lightning Fabric finds the devices, joins the processes and keeps their gradients equal; the steps
are ours, as everywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from backends.torch.exact import exact
from backends.torch.model import build, in_layout
from backends.torch.parameters import get_parameters, set_parameters
from backends.torch.strided import thin
from zoo.arch import Graph, operators
from zoo.errors import BackendNotInstalledError
from zoo.recipes import SGD, Adam, Recipe, check_slots, decayed, slot_names

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Arrays = dict[str, np.ndarray]


class Trainer:
    """See `backends.Trainer`.

    Attributes:
        module: the network; others train a wrapper of it.
    """

    def __init__(
        self, graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False
    ) -> None:
        self.recipe = recipe
        self.fabric = _fabric()
        self.rank, self.world = self.fabric.global_rank, self.fabric.world_size
        self.steps = 0
        self.random = any(isinstance(node.op, operators.Dropout) for node in graph.nodes)
        self.module: nn.Module = build(graph)
        set_parameters(self.module, weights)
        on_cpu = self.fabric.device.type == "cpu"
        # Filters whose channels are last make such values, for which the CPU's kernels are the fast
        # ones. Gradients of padded average pools are wrong with them on GPUs, by more than half
        # (github.com/pytorch/pytorch/issues/188344, seen in PyTorch 2.11; MPS: issue 175190).
        self.layout = torch.channels_last if on_cpu else torch.contiguous_format
        in_layout(self.module, self.layout)
        self.module.to(self.fabric.device).train()
        if on_cpu:
            thin(self.module)
        self.parameters = dict(self.module.named_parameters())
        optimizer = _optimizer(_groups(graph, self.parameters, recipe), recipe)
        model = cast(nn.Module, torch.compile(self.module)) if compiled else self.module
        self.model, self.optimizer = self.fabric.setup(model, optimizer)
        self._set_slots({})

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        chosen = self.recipe.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if isinstance(chosen, Adam):
                first, second = chosen.betas
                group["betas"] = (first if momentum is None else momentum, second)
            else:
                group["momentum"] = chosen.momentum if momentum is None else momentum
        with torch.random.fork_rng(enabled=self.random), exact(self.fabric.device):
            if self.random:
                torch.manual_seed(_stream(self.recipe.seed, self.steps, self.rank))
            loss, predicted = self._backward(images, targets)
        if self.recipe.clip_value is not None:
            self.fabric.clip_gradients(self.model, self.optimizer, clip_val=self.recipe.clip_value)
        elif self.recipe.clip_norm is not None:
            # What is not finite shows in the loss, which the caller looks at.
            self.fabric.clip_gradients(
                self.model,
                self.optimizer,
                max_norm=self.recipe.clip_norm,
                error_if_nonfinite=False,
            )
        self.optimizer.step()
        self.steps += 1
        return loss, predicted

    def _backward(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Leave the gradients of the mean loss in the parameters; return it and the classes."""
        self.optimizer.zero_grad()
        scale, count = self.recipe.loss_scale, len(images)
        parts = [p for p in np.array_split(np.arange(count), self.recipe.accumulate) if len(p)]
        total, predicted = 0.0, []
        for part in parts:
            x = torch.from_numpy(images[part[0] : part[-1] + 1]).to(
                self.fabric.device, memory_format=self.layout
            )
            y = torch.from_numpy(targets[part[0] : part[-1] + 1]).to(self.fabric.device)
            with self.fabric.no_backward_sync(self.model, enabled=part is not parts[-1]):
                # Autocast by hand: Fabric's float16 would bring a loss scale that changes by
                # itself, which no recipe has and no checkpoint would know of.
                with torch.autocast(
                    self.fabric.device.type,
                    getattr(torch, self.recipe.precision),
                    enabled=self.recipe.precision != "float32",
                ):
                    logits = self.model(x)
                logits = logits.float()
                loss = F.cross_entropy(logits, y) * (len(part) / count)
                self.fabric.backward(loss * scale)
            total += loss.item()
            predicted.append(logits.detach().argmax(1).cpu().numpy())
        if scale != 1:
            for parameter in self.parameters.values():
                if parameter.grad is not None:
                    parameter.grad.div_(scale)
        return total, np.concatenate(predicted)

    def weights(self) -> Arrays:
        return get_parameters(self.module)

    def slots(self) -> dict[str, Arrays]:
        return {
            slot: {
                name: self.optimizer.state[parameter][slot].detach().cpu().numpy().copy()
                for name, parameter in self.parameters.items()
            }
            for slot in slot_names(self.recipe)
        }

    def restore(self, weights: Arrays, slots: dict[str, Arrays], steps: int) -> None:
        check_slots(self.recipe, self.parameters, slots)
        set_parameters(self.module, weights)
        self.steps = steps
        self._set_slots(slots)

    def _set_slots(self, slots: dict[str, Arrays]) -> None:
        """Fill the optimizer's memory; with zeros, which is what it starts from, by default."""
        for name, parameter in self.parameters.items():
            state = self.optimizer.state[parameter]
            for slot in slot_names(self.recipe):
                state[slot] = torch.zeros_like(parameter)
                if slot in slots:
                    state[slot].copy_(torch.from_numpy(np.array(slots[slot][name])))
            if isinstance(self.recipe.optimizer, Adam):
                state["step"] = torch.tensor(float(self.steps))

    def place(self, model: nn.Module) -> nn.Module:
        return model.to(self.fabric.device)

    def sum(self, values: np.ndarray) -> np.ndarray:
        if self.world == 1:
            return np.asarray(values, np.float64)
        gathered: Any = self.fabric.all_reduce(
            torch.from_numpy(np.asarray(values, np.float64)).to(self.fabric.device),
            reduce_op="sum",
        )
        return gathered.cpu().numpy()


def trainer(graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False) -> Trainer:
    """Return a trainer that starts from these weights.

    Args:
        graph: the network.
        weights: canonical name → array.
        recipe: what to train it by.
        compiled: go through ``torch.compile``: slower to start, then faster.
    """
    return Trainer(graph, weights, recipe, compiled=compiled)


def _fabric() -> Fabric:
    """Return Fabric, joined to the other processes where `torchrun` has started several.

    Raises:
        BackendNotInstalledError: it is missing: those who only run networks need not have it.
    """
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError:
        raise BackendNotInstalledError(
            "training in backend 'torch' needs the package 'lightning-fabric', which is not "
            "installed: pip install 'parity-zoo[torch]'"
        ) from None
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Fabric(devices=1)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    fabric = Fabric(devices=local, num_nodes=world // local, strategy="ddp")
    fabric.launch()
    return fabric


def _groups(
    graph: Graph, parameters: dict[str, nn.Parameter], recipe: Recipe
) -> list[dict[str, Any]]:
    """Return the parameters that weight decay is for, and the others."""
    chosen = decayed(graph, recipe.optimizer.decayed)
    kinds = ((recipe.optimizer.weight_decay, True), (0.0, False))
    groups = [
        {"params": [p for n, p in parameters.items() if (n in chosen) == own], "weight_decay": d}
        for d, own in kinds
    ]
    return [group for group in groups if group["params"]]


def _optimizer(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    chosen = recipe.optimizer
    if isinstance(chosen, SGD):
        return torch.optim.SGD(
            groups, lr=chosen.lr, momentum=chosen.momentum, nesterov=chosen.nesterov
        )
    kind = torch.optim.AdamW if chosen.decoupled else torch.optim.Adam
    return kind(groups, lr=chosen.lr, betas=chosen.betas, eps=chosen.eps)


def _stream(seed: int, step: int, rank: int) -> int:
    """Return the seed of what is drawn in a step: another one for each step and process."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0]) >> 1
