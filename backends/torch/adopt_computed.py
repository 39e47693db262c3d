"""Weights that a module computes of others each time it is called: they are made once.

A convolution that standardizes its weights (arXiv:1903.10520, arXiv:2101.08692) becomes one that
has the weights which it computes now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Graph

from backends.torch.adopt_call import Node, arguments

LAYERS = ("batch_norm", "conv1d", "conv2d", "conv_transpose2d", "group_norm", "layer_norm", "prelu")
"""What holds its arrays: a value is no input of it."""
ROLES = ("weight", "bias", "running_mean", "running_var")
"""Of the arrays that a layer computes with; any other is a value."""


@dataclass(frozen=True)
class Computed:
    """What layers have for arrays, and compute of others.

    Attributes:
        values: name → what it is now.
        left: the names of what is read for nothing else, these included.
        layers: name → the layer that has it.
    """

    values: dict[str, torch.Tensor] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    layers: dict[str, Node] = field(default_factory=dict)


def computed(graph: Graph, given: Mapping[str, torch.Tensor], own: Collection[str]) -> Computed:
    """Return what is made of arrays alone, neither of images nor of constants only.

    Args:
        graph: what `torch.export` recorded.
        given: what it is given beside the images, by its names.
        own: the names of those that are arrays of the module.
    """
    still, depends = set(given), set(own)
    found = Computed()
    made: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        read = {part.name for part in node.all_input_nodes}
        if read <= still:
            still.add(node.name)
            if read & depends:
                depends.add(node.name)
        elif getattr(getattr(node.target, "overloadpacket", None), "__name__", "") in LAYERS:
            for part in _made_ones(node):
                if part.name in still & depends:
                    found.values[part.name] = _made(part, given, made)
                    found.layers[part.name] = node
    found.left.update(found.values)
    for node in reversed(graph.nodes):
        if node.name in still and node.users and {user.name for user in node.users} <= found.left:
            found.left.add(node.name)
    return found


def _made_ones(layer: Node) -> list[Node]:
    """Return what a layer has for arrays and is none: what a call makes."""
    read = [part for role, part in arguments(layer).items() if role in ROLES]
    return [part for part in read if isinstance(part, Node) and part.op == "call_function"]


def _made(node: Node, given: Mapping[str, torch.Tensor], made: dict[str, Any]) -> Any:
    if node.name in made:
        return made[node.name]
    if node.name in given:
        value = given[node.name].detach().clone()  # which may be written over
    else:
        args, kwargs = torch.fx.node.map_arg(
            (node.args, node.kwargs), lambda part: _made(part, given, made)
        )
        target: Any = node.target
        with torch.no_grad():
            value = target(*args, **kwargs)
    made[node.name] = value
    return value
