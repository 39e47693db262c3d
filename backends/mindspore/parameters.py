"""Weights in and out of a MindSpore Cell, under MindSpore's own names."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindspore.live import LIVE, native
from zoo.arch import Graph


def graph_of(cell: nn.Cell) -> Graph:
    """Return the graph of the network in a Cell.

    Raises:
        WeightsError: there is none, or there are several.
    """
    found: Graph = LIVE.network_in(cell).zoo_graph
    return found


def changes(cell: nn.Cell) -> list[str]:
    """Return what is said of each layer that is not what the graph makes; see `Live.changes`."""
    return LIVE.changes(cell)


def parameters(network: Any) -> dict[str, Parameter]:
    """Return canonical name → native parameter of a network that is known to be whole."""
    found: dict[str, Any] = {}
    for node in network.zoo_graph.nodes:
        roles = node.op.parameters()
        layer = LIVE.layer(network, node.name) if roles else None
        for role in roles:
            found[f"{node.name}.{role}"] = getattr(layer, native(role, node))
    return found


def get_parameters(cell: nn.Cell) -> dict[str, np.ndarray]:
    """Return copies of parameters and running statistics as float32 arrays, by canonical name.

    Raises:
        WeightsError: there is no network in the Cell, or a layer is another one.
    """
    return arrays_of(LIVE.check(cell))


def arrays_of(network: Any) -> dict[str, np.ndarray]:
    """Return what `get_parameters` does, of a network that is known to be whole."""
    # asnumpy() is a view that changes with the parameter: astype copies.
    return {name: p.asnumpy().astype(np.float32) for name, p in parameters(network).items()}


def set_parameters(cell: nn.Cell, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the Cell.

    Raises:
        WeightsError: there is no network in the Cell, or a layer is another one.
    """
    fill(LIVE.check(cell), arrays)


def fill(network: Any, arrays: dict[str, np.ndarray]) -> None:
    """Do what `set_parameters` does, with a network that is known to be whole."""
    found = parameters(network)
    for name, array in arrays.items():
        found[name].set_data(Tensor(array, found[name].dtype))
