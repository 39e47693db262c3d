"""The ONNX model of a graph, run by OpenVINO."""

from __future__ import annotations

from backends.onnx.model import Model as OnnxModel
from backends.openvino.engine import Engine
from zoo.arch import Graph


class Model(OnnxModel):
    """As that of ONNX Runtime, with another run-time."""

    engine = Engine


def build(graph: Graph) -> Model:
    """Return the model of a graph, its weights zeros."""
    return Model(graph)


def is_model(candidate: object) -> bool:
    """Return whether ``candidate`` is a model of this backend."""
    return isinstance(candidate, Model)
