"""Weights in and out of a PyTorch module: canonical names are PyTorch's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from zoo.arch import Graph
from zoo.errors import WeightsError


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module inside ``torch.compile``, DataParallel and DistributedDataParallel."""
    parallel = nn.DataParallel | torch.nn.parallel.DistributedDataParallel
    while True:
        inner = (
            module.module if isinstance(module, parallel) else getattr(module, "_orig_mod", None)
        )
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def graph_of(module: nn.Module) -> Graph:
    """Return the graph that a module was built from.

    Raises:
        WeightsError: the module was not made by this package.
    """
    graph = getattr(unwrap(module), "zoo_graph", None)
    if not isinstance(graph, Graph):
        raise WeightsError(f"{type(module).__name__} was not made by zoo.create")
    return graph


def get_parameters(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of parameters and running statistics as float32 arrays, by canonical name."""
    state = unwrap(module).state_dict()
    return {
        name: state[name].detach().to("cpu", torch.float32).numpy().copy()
        for name in graph_of(module).parameters
    }


def set_parameters(module: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the module, on whatever device and in whatever dtype it is."""
    state = unwrap(module).state_dict()
    with torch.no_grad():
        for name, array in arrays.items():
            state[name].copy_(torch.from_numpy(np.array(array)))
