"""A zoo's network in whatever MindSpore has been made to wrap around it or put into it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mindspore import nn

from backends.mindspore.model import SUFFIXES, build
from zoo.arch import Graph, Node, Operator
from zoo.blocks import called
from zoo.blocks.live import Live, Made

VALUES = re.compile(r"(, )?\w+=(Parameter \(.*?requires_grad=\w+\)|<.*?>)|(, )?\w+_init=[^,]*")
"""What a Cell tells of its parameters beside its arguments."""


class MindSporeLive(Live):
    """See `Live`."""

    def networks(self, module: nn.Cell) -> Iterator[tuple[str, Any]]:
        for path, inner in module.cells_and_names():
            # Not getattr: wrappers hand on what their Cell has.
            if isinstance(inner.__dict__.get("zoo_graph"), Graph):
                yield path, inner

    def child(self, module: nn.Cell, name: str) -> Any:
        return unwrap(module._cells.get(name))

    def made(self, graph: Graph) -> Mapping[str, Made]:
        return _made(graph, called(graph))

    def tell(self, layer: nn.Cell) -> Made:
        return Made(type(layer), VALUES.sub("", layer.extend_repr()))

    def computes_as(self, found: type, expected: type) -> bool:
        construct: Any = getattr(expected, "construct", None)
        return getattr(found, "construct", None) is construct

    def shape(self, layer: nn.Cell, role: str, node: Node) -> tuple[int, ...] | None:
        found = getattr(layer, native(role, node), None)
        return tuple(getattr(found, "shape", ()))


LIVE = MindSporeLive()

MEANT: dict[type, Callable[[Any], Operator]] = {}
"""Type of an operator → the one whose parameters' names it has: of operators that were changed by
hand (`mutants`), beside their entries in ``OPERATORS``."""


def suffixes(op: Operator) -> dict[str, str]:
    """Return canonical role → MindSpore's name, where an operator's has another."""
    meant = MEANT.get(type(op), lambda own: own)(op)
    return SUFFIXES.get(type(meant).__name__, {})


def native(role: str, node: Node) -> str:
    """Return MindSpore's name of a node's parameter."""
    return suffixes(node.op).get(role, role)


def unwrap(cell: Any) -> Any:
    """Return the Cell inside what mixed precision (O2, O3) wraps a Cell with."""
    while isinstance(cell, nn.Cell) and isinstance(inner := cell._cells.get("_backbone"), nn.Cell):
        cell = inner
    return cell


@contextmanager
def evaluating(cell: nn.Cell) -> Iterator[None]:
    """Have a Cell in evaluation mode, and each of its own in its mode of before afterwards."""
    modes = [(inner, bool(inner.training)) for _, inner in cell.cells_and_names()]
    cell.set_train(False)
    try:
        yield
    finally:
        for inner, mode in modes:  # outer ones first: each sets all that it holds
            inner.set_train(mode)


@functools.lru_cache(maxsize=64)
def _made(graph: Graph, named: str) -> dict[str, Made]:
    return {path: LIVE.tell(cell) for path, cell in build(graph).cells_and_names() if path}
