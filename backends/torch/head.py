"""The classifier of a live PyTorch module: handed out, replaced, removed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from backends.torch.operators import layer
from zoo.arch import Graph
from zoo.arch.graph import shape_read
from zoo.arch.head import head_of, reset
from zoo.blocks import require_own
from zoo.passes.initialize import initialize_node


def get_classifier(self: Any) -> nn.Module:
    """Return the layer that makes the logits; an ``nn.Identity`` in a network without one."""
    head = head_of(self.zoo_graph)
    assert head is not None, "networks without a head have no such method"
    return self.get_submodule(head.classifier) if head.classifier else nn.Identity()


def replace_classifier(self: Any, num_classes: int, seed: int) -> Graph:
    """Put a new classifier into a network, or none, and return the graph that it then has.

    Raises:
        SpecError: there cannot be so many classes.
        ZooError: the module's class is no longer the one that it was made with.
    """
    graph, here, there = reset(self.zoo_graph, num_classes)
    require_own(type(self))
    old = self.get_submodule(here.classifier) if here.classifier else None
    like = next((self if old is None else old).parameters(), next(self.parameters()))
    if here.classifier:
        parent, _, name = here.classifier.rpartition(".")
        del self.get_submodule(parent)._modules[name]
    if there.classifier:
        node = graph.by_name[there.classifier]
        with torch.random.fork_rng(devices=[]):
            fresh = layer(node.op, shape_read(node, graph.shapes()))
        with torch.no_grad():
            for role, array in initialize_node(node, seed).items():
                fresh.get_parameter(role).copy_(torch.from_numpy(array))
        parent, _, name = node.name.rpartition(".")
        fresh.to(like.device, like.dtype).train(self.training if old is None else old.training)
        setattr(self.get_submodule(parent), name, fresh)
    return graph
