"""Weights in and out of a MindSpore Cell, under MindSpore's own names."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindspore.model import SUFFIXES
from zoo.arch import Graph, Operator
from zoo.errors import WeightsError


def network_in(cell: nn.Cell) -> Any:
    """Return the zoo's network in a Cell, be it wrapped in a loss or a training step.

    Raises:
        WeightsError: the Cell was not made by this package.
    """
    for _, inner in cell.cells_and_names():
        if isinstance(getattr(inner, "zoo_graph", None), Graph):
            return inner
    raise WeightsError(f"{type(cell).__name__} was not made by zoo.create")


def graph_of(cell: nn.Cell) -> Graph:
    """Return the graph that a Cell was built from."""
    return network_in(cell).zoo_graph


def suffixes(op: Operator) -> dict[str, str]:
    """Return canonical role → MindSpore's name, where an operator's has another."""
    return SUFFIXES.get(type(op).__name__, {})


def parameters(cell: nn.Cell) -> dict[str, Parameter]:
    """Return canonical name → native parameter, in canonical order."""
    network = network_in(cell)
    native = dict(network.parameters_and_names())
    found: dict[str, Any] = {}
    for node in network.zoo_graph.nodes:
        renamed = suffixes(node.op)
        for role in node.op.parameters():
            found[f"{node.name}.{role}"] = native[f"{node.name}.{renamed.get(role, role)}"]
    return found


def get_parameters(cell: nn.Cell) -> dict[str, np.ndarray]:
    """Return copies of parameters and running statistics as float32 arrays, by canonical name."""
    # asnumpy() is a view that changes with the parameter: astype copies.
    return {name: p.asnumpy().astype(np.float32) for name, p in parameters(cell).items()}


def set_parameters(cell: nn.Cell, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the Cell."""
    found = parameters(cell)
    for name, array in arrays.items():
        found[name].set_data(Tensor(array, found[name].dtype))
