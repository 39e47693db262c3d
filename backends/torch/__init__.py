"""PyTorch: the graph as a ``torch.fx.GraphModule`` of native layers."""

from backends.torch.about import describe
from backends.torch.model import build, freeze, is_model
from backends.torch.parameters import get_parameters, graph_of, set_parameters
from backends.torch.run import DTYPES, LEVELS, forward, gradients, predict, training

__all__ = [
    "DTYPES",
    "LEVELS",
    "build",
    "describe",
    "forward",
    "freeze",
    "get_parameters",
    "gradients",
    "graph_of",
    "is_model",
    "predict",
    "set_parameters",
    "training",
]
