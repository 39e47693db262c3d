"""The reference: a plain NumPy interpreter in float64 that defines what every operator means."""

from backends.numpy.about import describe
from backends.numpy.model import Model, build, freeze, is_model
from backends.numpy.parameters import get_parameters, graph_of, set_parameters
from backends.numpy.run import DTYPES, FUSED, LEVELS, forward, predict

__all__ = [
    "DTYPES",
    "FUSED",
    "LEVELS",
    "Model",
    "build",
    "describe",
    "forward",
    "freeze",
    "get_parameters",
    "graph_of",
    "is_model",
    "predict",
    "set_parameters",
]
