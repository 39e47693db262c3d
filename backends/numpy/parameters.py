"""Weights in and out of a NumPy model."""

from __future__ import annotations

import numpy as np

from backends.numpy.model import Model
from zoo.arch import Graph


def graph_of(model: Model) -> Graph:
    """Return the graph that a model runs."""
    return model.graph


def get_parameters(model: Model) -> dict[str, np.ndarray]:
    """Return copies of the arrays as float32, by canonical name."""
    return {name: array.astype(np.float32) for name, array in model.arrays.items()}


def set_parameters(model: Model, arrays: dict[str, np.ndarray]) -> None:
    """Copy checked arrays into the model."""
    for name, array in arrays.items():
        model.arrays[name][...] = array
