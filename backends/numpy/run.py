"""The measurements of a parity proof that NumPy can make: it has no gradients."""

from __future__ import annotations

import numpy as np

from backends.numpy.model import Model
from backends.numpy.parameters import set_parameters
from zoo.arch import Graph

DTYPES: tuple[str, ...] = ("float32", "float64")
LEVELS: tuple[str, ...] = ("structure", "forward", "batch_statistics")
FUSED = False


def forward(
    graph: Graph, weights: dict[str, np.ndarray], x: np.ndarray, *, training: bool, dtype: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return (the value of every node, the running statistics after the call)."""
    model = Model(graph, dtype).train(training)
    set_parameters(model, weights)
    values = dict(model.values(x))
    buffers = {n: model.arrays[n] for n, p in graph.parameters.items() if not p.trainable}
    return values, buffers


def predict(model: Model, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the model's outputs in evaluation mode for an input."""
    outputs = model.eval()(x)
    return outputs if isinstance(outputs, tuple) else (outputs,)
