"""The classifier of a live MindSpore Cell: handed out, replaced, removed."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Tensor, nn

from backends.mindspore.operators import layer
from backends.mindspore.tree import get, put
from zoo.arch import Graph
from zoo.arch.graph import shape_read
from zoo.arch.head import head_of, reset
from zoo.blocks import require_own
from zoo.passes.initialize import initialize_node


def get_classifier(self: Any) -> nn.Cell:
    """Return the layer that makes the logits; an ``nn.Identity`` in a network without one."""
    head = head_of(self.zoo_graph)
    assert head is not None, "networks without a head have no such method"
    found = get(self, head.classifier) if head.classifier else None
    return nn.Identity() if found is None else found


def replace_classifier(self: Any, num_classes: int, seed: int) -> Graph:
    """Put a new classifier into a network, or none, and return the graph that it then has.

    Raises:
        SpecError: there cannot be so many classes.
        ZooError: the Cell's class is no longer the one that it was made with.
    """
    graph, here, there = reset(self.zoo_graph, num_classes)
    require_own(type(self))
    path, first = next(self.parameters_and_names())
    prefix, dtype = first.name.removesuffix(path), first.dtype
    training = self.training
    if here.classifier:
        parent, _, name = here.classifier.rpartition(".")
        old: Any = get(self, here.classifier)
        dtype = next((p.dtype for p in old.get_parameters()), dtype) if old else dtype
        training = old.training if old else training
        holder: Any = get(self, parent)
        del holder._cells[name]
    if there.classifier:
        node = graph.by_name[there.classifier]
        state = np.random.get_state()
        try:
            fresh = layer(node.op, shape_read(node, graph.shapes()))
        finally:
            np.random.set_state(state)
        arrays = initialize_node(node, seed)
        for role, parameter in fresh.parameters_and_names():
            parameter.set_data(Tensor(arrays[role], parameter.dtype))
            parameter.set_dtype(dtype)
        put(self, node.name, fresh)
        for role, parameter in fresh.parameters_and_names():
            parameter.name = f"{prefix}{node.name}.{role}"
        fresh.set_train(training)
    return graph
