"""The measurements of a parity proof, made by OpenVINO."""

from __future__ import annotations

import numpy as np

from backends.onnx import run
from backends.openvino.model import Model
from zoo.arch import Graph

DTYPES = run.DTYPES
LEVELS = run.LEVELS
FUSED = run.FUSED
predict = run.predict


def forward(
    graph: Graph, weights: run.Arrays, x: np.ndarray, *, training: bool, dtype: str
) -> tuple[run.Arrays, run.Arrays]:
    """Return (the value of every node, no running statistics)."""
    return run.forward(graph, weights, x, training=training, dtype=dtype, model=Model)
