"""MindSpore: the graph as native Cells, nested as its names are, for graph mode and PyNative."""

from backends.mindspore import onednn
from backends.mindspore.about import describe
from backends.mindspore.batches import batches
from backends.mindspore.model import build, freeze, is_model
from backends.mindspore.observe import observe
from backends.mindspore.operators import IDIOMS
from backends.mindspore.parameters import changes, get_parameters, graph_of, set_parameters
from backends.mindspore.run import DTYPES, FUSED, LEVELS, forward, gradients, predict
from backends.mindspore.trainer import trainer

onednn.cap()

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
    "predict",
    "set_parameters",
    "trainer",
]
