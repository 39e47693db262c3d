"""The measurements of a parity proof, made by PyTorch: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from backends.torch.exact import exact
from backends.torch.model import build
from backends.torch.parameters import set_parameters
from zoo.arch import Graph

DTYPES: tuple[str, ...] = ("float32", "float64")
LEVELS: tuple[str, ...] = ("structure", "forward", "batch_statistics", "gradients", "training")
FUSED = False

Arrays = dict[str, np.ndarray]


def _load(graph: Graph, weights: Arrays, dtype: str, training: bool) -> nn.Module:
    module = build(graph).to(getattr(torch, dtype))
    set_parameters(module, weights)
    return module.train(training)


def _arrays(module: nn.Module, graph: Graph, trainable: bool) -> Arrays:
    state = module.state_dict()
    return {
        name: state[name].numpy().copy()
        for name, parameter in graph.parameters.items()
        if parameter.trainable == trainable
    }


def forward(
    graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
) -> tuple[Arrays, Arrays]:
    """Return (the value of every node, the running statistics after the call)."""
    names = [node.name for node in graph.nodes]
    module = _load(graph.select(names), weights, dtype, training)
    with torch.no_grad():
        outputs = module(torch.from_numpy(x).to(getattr(torch, dtype)))
    values = dict(zip(names, (value.detach().numpy() for value in outputs), strict=True))
    return values, _arrays(module, graph, trainable=False)


def gradients(
    graph: Graph, weights: Arrays, x: np.ndarray, y: np.ndarray, *, training: bool, dtype: str
) -> tuple[float, Arrays]:
    """Return (mean cross-entropy, its gradient for every trained parameter)."""
    module = _load(graph, weights, dtype, training)
    logits = module(torch.from_numpy(x).to(getattr(torch, dtype)))
    loss = F.cross_entropy(logits, torch.from_numpy(y))
    loss.backward()
    return loss.item(), {
        name: parameter.grad.numpy()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def predict(module: nn.Module, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the outputs in evaluation mode, without gradients, computed where the module is."""
    if _is_training(module):
        module.eval()
    device = next(module.parameters(), torch.empty(0)).device
    with torch.inference_mode(), exact(device):
        outputs = module(torch.from_numpy(x).to(device))
    return tuple(o.cpu().numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,)))


def _is_training(module: nn.Module | None) -> bool:
    """Return whether any layer is in training mode, in a quarter of the time of ``modules()``."""
    return module is not None and (
        module.training or any(map(_is_training, module._modules.values()))
    )
