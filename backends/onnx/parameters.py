"""Weights in and out of a model of ONNX."""

from __future__ import annotations

import numpy as np

from backends.onnx.model import Model
from zoo.arch import Graph


def graph_of(model: Model) -> Graph:
    """Return the graph that a model runs."""
    return model.graph


def get_parameters(model: Model) -> dict[str, np.ndarray]:
    """Return copies of the arrays, by canonical name."""
    return {name: array.copy() for name, array in model.arrays.items()}


def set_parameters(model: Model, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the model."""
    for name, array in arrays.items():
        model.arrays[name][...] = array
    model.reset()
