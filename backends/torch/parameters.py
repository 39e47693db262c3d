"""Weights in and out of a PyTorch module: canonical names are PyTorch's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from backends.torch.live import LIVE
from backends.torch.tensors import read, writer
from zoo.arch import Graph


def graph_of(module: nn.Module) -> Graph:
    """Return the graph of the network in a module.

    Raises:
        WeightsError: there is none, or there are several.
    """
    found: Graph = LIVE.network_in(module).zoo_graph
    return found


def changes(module: nn.Module) -> list[str]:
    """Return what is said of each layer that is not what the graph makes; see `Live.changes`."""
    return LIVE.changes(module)


def get_parameters(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of parameters and running statistics as float32 arrays, by canonical name.

    Raises:
        WeightsError: a layer is another one, or holds no plain numbers.
    """
    network = LIVE.check(module)
    found: dict[str, np.ndarray] = {}
    for name in network.zoo_graph.parameters:
        path, _, role = name.rpartition(".")
        tensor = read(LIVE.layer(network, path), name, role)
        found[name] = tensor.to("cpu", torch.float32, copy=True).numpy()
    return found


def set_parameters(module: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the module, on whatever device and in whatever dtype it is.

    Raises:
        WeightsError: a layer is another one, or cannot hold the values; nothing has been changed.
    """
    network = LIVE.check(module)
    with torch.no_grad():
        writers = []
        for name, array in arrays.items():
            path, _, role = name.rpartition(".")
            writers.append(writer(LIVE.layer(network, path), name, role, array))
        for write in writers:
            write()
