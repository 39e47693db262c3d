"""PyTorch: the graph as native modules, nested as its names are."""

from backends.torch.about import describe
from backends.torch.batches import batches
from backends.torch.model import build, freeze, is_model
from backends.torch.observe import observe
from backends.torch.operators import IDIOMS
from backends.torch.parameters import changes, get_parameters, graph_of, set_parameters
from backends.torch.reference import plain_trainer
from backends.torch.run import DTYPES, FUSED, LEVELS, forward, gradients, predict
from backends.torch.trainer import trainer

__all__ = [
    "DTYPES",
    "FUSED",
    "IDIOMS",
    "LEVELS",
    "batches",
    "build",
    "changes",
    "describe",
    "forward",
    "freeze",
    "get_parameters",
    "gradients",
    "graph_of",
    "is_model",
    "observe",
    "plain_trainer",
    "predict",
    "set_parameters",
    "trainer",
]
