"""ONNX: the graph as a ModelProto, run by ONNX Runtime."""

from backends.onnx.about import describe
from backends.onnx.file import File
from backends.onnx.model import Model, build, freeze, is_model
from backends.onnx.parameters import get_parameters, graph_of, set_parameters
from backends.onnx.proto import OPSET, emit
from backends.onnx.quantize import ACTIVATIONS, METHODS, Calibrated, Runner
from backends.onnx.run import DTYPES, FUSED, LEVELS, forward, predict

__all__ = [
    "ACTIVATIONS",
    "DTYPES",
    "FUSED",
    "LEVELS",
    "METHODS",
    "OPSET",
    "Calibrated",
    "File",
    "Model",
    "Runner",
    "build",
    "describe",
    "emit",
    "forward",
    "freeze",
    "get_parameters",
    "graph_of",
    "is_model",
    "predict",
    "set_parameters",
]
