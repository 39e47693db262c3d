"""What a live model is: its graph, its spec and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import backends
import weights as arrays
from zoo.arch import Graph, Spec
from zoo.blocks.live import refuse
from zoo.errors import WeightsError
from zoo.passes import Weights, merge_group_conv, split_group_conv


def graph_of(model: Any) -> Graph:
    """Return the graph of a live model, all of whose layers are what it says.

    Args:
        model: a model of `create`, also inside of another module or a wrapper.

    Raises:
        WeightsError: it was not made by `create`, holds several networks, or has layers that were
            replaced or changed; they are named.
    """
    engine = backends.backend_of(model)
    graph = engine.graph_of(model)
    if backends.is_editable(engine):
        refuse(engine.changes(model))
    return graph


def spec_of(model: Any, remedy: str) -> Spec:
    """Return the spec of a live model.

    Args:
        model: as for `graph_of`.
        remedy: what an error says of a model that is not a whole network.

    Raises:
        WeightsError: as `graph_of`, and where the model is not a whole network.
    """
    found = graph_of(model).origin
    if not isinstance(found, Spec):
        raise WeightsError(
            "the model is a part of a network (outputs=) or a form for inference (optimize=)"
            f"{remedy}"
        )
    return found


def get_weights(model: Any) -> Weights:
    """Return copies of a live model's parameters and running statistics.

    Args:
        model: a model made by `create`, wherever it is: in ``torch.compile``, AveragedModel,
            DistributedDataParallel, FSDP2 (every process has to call this), mixed precision, or a
            module of your own. Pruned and parametrized layers hand out what they compute with.

    Returns:
        Canonical name → float32 array in PyTorch's layouts, the same whatever the backend and
        whether group convolutions are split.

    Raises:
        WeightsError: the model was not made by `create`, holds several that were, has layers in the
            place of those it was made with, or values that no float32 array holds (quantized ones).
    """
    engine = backends.backend_of(model)
    _, found = merge_group_conv(engine.graph_of(model), engine.get_parameters(model))
    return found


def set_weights(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Copy weights into a live model of any backend; nothing is changed unless all of them fit.

    Args:
        model: as for `get_weights`. A pruned or parametrized layer takes what it gives back bit by
            bit.
        weights: canonical name → array, as `get_weights` returns them.

    Raises:
        WeightsError: names are missing, unexpected or mis-shaped (all are listed), the model was
            not made by `create`, or a layer of it cannot hold the values.
    """
    engine = backends.backend_of(model)
    graph = engine.graph_of(model)
    canonical, _ = merge_group_conv(graph)
    found = arrays.check(canonical, weights)
    if graph != canonical:
        _, found = split_group_conv(canonical, found)
    engine.set_parameters(model, found)
