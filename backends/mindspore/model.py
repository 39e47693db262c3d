"""A graph as a MindSpore Cell of nested Cells, whose code is generated (`zoo.blocks`).

Graph mode and PyNative both run it; Cells that are replaced are used.
"""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
from mindspore import Tensor, nn

from backends.mindspore.head import get_classifier, replace_classifier
from backends.mindspore.operators import IDIOMS
from backends.mindspore.recompute import set_grad_checkpointing
from backends.mindspore.tree import put
from zoo.arch import Graph
from zoo.arch.described import described
from zoo.blocks import Source, class_of, counterpart, source_of, write

SUFFIXES = {
    "BatchNorm2d": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    "PReLU": {"weight": "w"},
    "LayerNorm": {"weight": "gamma", "bias": "beta"},
    "GroupNorm": {"weight": "gamma", "bias": "beta"},
}
"""Operator → canonical role → MindSpore's name for it, where it has another."""

LOCK = threading.RLock()
"""Held while a network runs. MindSpore's executor is one for all threads: two that call networks
at once got each other's numbers, without an error, or crashed. Taking turns is faster as well."""


def build(graph: Graph) -> nn.Cell:
    """Return the native Cell of a graph, its parameters not yet filled.

    Its parameters carry the graph's paths and MindSpore's own names for the roles
    (``stage2.0.expand.bn.gamma``). A call returns a Tensor, or a tuple of them where the graph has
    several outputs. ``zoo_graph`` and ``code`` tell what it is, and so do the attributes of
    `described`.
    """
    source = write(graph, IDIOMS)
    kind = _class_of(source)
    state = np.random.get_state()
    try:
        cell = kind()
    finally:
        np.random.set_state(state)
    for path, layer in source.given:
        put(cell, path, layer)
    for path, parameter in cell.parameters_and_names():
        parameter.name = path
    tell(cell, graph)
    # A new Cell is in evaluation mode, but is compiled under the name of training mode: without
    # this, the first set_train(True) after a call would go on with the evaluation graph.
    cell.set_train(False)
    return cell


def class_of_graph(graph: Graph) -> type[nn.Cell]:
    """Return the class of a graph's Cell."""
    return _class_of(write(graph, IDIOMS))


def _class_of(source: Source) -> type[nn.Cell]:
    return _checked(class_of(source.text, source.root))


def tell(cell: nn.Cell, graph: Graph) -> None:
    """Give a Cell the graph that it is of, and what that tells."""
    told = {"zoo_graph": graph, "zoo_cells": _cells(cell), **described(graph)}
    for name, value in told.items():
        object.__setattr__(cell, name, value)


def reset_classifier(self: Any, num_classes: int, seed: int = 0) -> None:
    """Put a new classifier in the place of the old one, or none for 0 classes.

    It starts from the weights that `zoo.create` gives it for the seed, in the dtype of the old one
    and under the same names. All other layers and what trains stay as they are.

    Raises:
        SpecError: there cannot be so many classes.
        ZooError: the Cell's class is no longer the one that it was made with.
    """
    graph = replace_classifier(self, num_classes, seed)
    # Each text has classes of its own, also for the blocks that are alike.
    kind, before = class_of_graph(graph), type(self).__module__
    for _, cell in self.cells_and_names():
        if type(cell).__module__ == before:
            cell.__class__ = counterpart(type(cell), kind)
    self.compile_cache.clear()
    tell(self, graph)


METHODS = (get_classifier, reset_classifier, set_grad_checkpointing)
"""What the class of a whole network has beside those that are generated."""


def _checked(kind: type[nn.Cell]) -> type[nn.Cell]:
    """Let a network's class check its input, and be copied and pickled."""
    if "admitted" in vars(kind):
        return kind

    def __call__(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        # Checked before graph mode compiles, whose own message would speak of an inner operator.
        size = tuple(x.shape[1:])
        if size not in self.admitted:
            self.zoo_graph.check_input(tuple(x.shape))
            self.admitted.add(size)
        if any(list(cell._cells.values()) != inner for cell, inner in self.zoo_cells):
            self.compile_cache.clear()  # which goes on with Cells that have been replaced
            object.__setattr__(self, "zoo_cells", _cells(self))
        with LOCK:
            return nn.Cell.__call__(self, x, *args, **kwargs)

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:  # noqa: N807
        made: Any = nn.Cell.__new__(type(self))
        memo[id(self)] = made
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        if getattr(made, "grad_checkpointing", False):  # of the Cells that it was copied from
            made.set_grad_checkpointing(False)
            made.set_grad_checkpointing()
        return made

    def __reduce_ex__(self: Any, protocol: int) -> tuple[Any, ...]:  # noqa: N807
        # MindSpore's primitives cannot be pickled: by graph and arrays.
        arrays = {path: p.asnumpy().copy() for path, p in self.parameters_and_names()}
        # What `zoo.create` says beside the graph: which maps a part of a network returns.
        told = {name: self.__dict__[name] for name in ("feature_info",) if name in self.__dict__}
        checkpointing = getattr(self, "grad_checkpointing", False)
        return _restore, (self.zoo_graph, arrays, self.training, told, checkpointing)

    found = {"__call__": __call__, "__deepcopy__": __deepcopy__, "__reduce_ex__": __reduce_ex__}
    if hasattr(kind, "forward_features"):
        found |= {method.__name__: method for method in METHODS}
    code = property(lambda self: source_of(type(self)))
    for name, value in (*found.items(), ("code", code), ("admitted", set())):
        setattr(kind, name, value)
    return kind


def _cells(network: nn.Cell) -> list[tuple[nn.Cell, list[nn.Cell]]]:
    """Return what each Cell of a network has inside."""
    found = [cell for _, cell in network.cells_and_names()]
    return [(cell, list(cell._cells.values())) for cell in found if cell._cells]


def _restore(
    graph: Graph,
    arrays: dict[str, Any],
    training: bool,
    told: dict[str, Any],
    checkpointing: bool,
) -> nn.Cell:
    cell: Any = build(graph)
    vars(cell).update(told)
    for path, parameter in cell.parameters_and_names():
        parameter.set_data(Tensor(arrays[path]))
    cell.set_train(training)
    if checkpointing:
        cell.set_grad_checkpointing()
    made: nn.Cell = cell
    return made


def freeze(network: nn.Cell) -> nn.Cell:
    """Return the network for inference: in evaluation mode, with parameters that do not train."""
    for parameter in network.get_parameters():
        parameter.requires_grad = False
    network.set_train(False)
    return network


def is_model(candidate: Any) -> bool:
    """Return whether ``candidate`` is a MindSpore Cell."""
    return isinstance(candidate, nn.Cell)
