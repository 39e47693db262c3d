"""The measurements of a parity proof that an engine for inference can make."""

from __future__ import annotations

import numpy as np

from backends.onnx.model import Model
from backends.onnx.parameters import set_parameters
from zoo.arch import Graph
from zoo.errors import UnknownNameError

DTYPES: tuple[str, ...] = ("float32",)
LEVELS: tuple[str, ...] = ("structure", "forward")
FUSED = True
"""Outputs that `forward` returns are of a run with all fusions, other values of one without."""

Arrays = dict[str, np.ndarray]


def forward(
    graph: Graph,
    weights: Arrays,
    x: np.ndarray,
    *,
    training: bool,
    dtype: str,
    model: type[Model] = Model,
) -> tuple[Arrays, Arrays]:
    """Return (the value of every node, no running statistics).

    Asked for every value, a run-time fuses nothing. The outputs are those of the network as it is
    deployed, with all fusions.
    """
    if training:
        raise UnknownNameError(
            "ONNX has no training mode here; it does the levels structure, forward"
        )
    names = [node.name for node in graph.nodes]
    values: Arrays = {}
    for outputs in (names, graph.outputs):
        network = model(graph.select(outputs))
        set_parameters(network, {name: weights[name] for name in network.graph.parameters})
        values |= dict(zip(outputs, network.run(x), strict=True))
    return values, {}


def predict(model: Model, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the model's outputs for a float32 array."""
    return model.run(x)
