"""A Cell for the time that it is exported: what a file does not tell is marked by products.

What training does beside (dropout, stochastic depth) is not in a file: those Cells multiply by a
parameter of their own meanwhile. And nodes say which Cell they are of, but wrongly where they are
of functions (``x + y``), which MindSpore reads once, for the first Cell that calls them: so what
enters a Cell and what leaves it is multiplied by such a parameter too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindir.adopt import Marks
from backends.mindspore.live import evaluating
from backends.mindspore.model import LOCK
from zoo.errors import AdoptionError

MARK = "parity_zoo_mark"
"""Attribute, and start of the name, of what marks a product."""
EXIT = "parity_zoo_exit"
POOL = "SymmetricPool2d"
"""What the padded pools of our own networks are called."""


class _Marked(nn.Cell):
    """What a Cell is while it is exported that drops values in training."""

    def construct(self, x: Tensor) -> Tensor:
        return x * self.parity_zoo_mark


class _Framed:
    """What a Cell is whose values are marked where they enter it and leave it."""

    parity_zoo_construct: Any
    parity_zoo_mark: Any
    parity_zoo_exit: Any

    def construct(self, *args: Any, **further: Any) -> Any:
        given: Any = ()
        for value in args:
            given = (*given, _marked(value, self.parity_zoo_mark))
        made = self.parity_zoo_construct(*given, **further)
        if isinstance(made, tuple):
            several: Any = ()
            for value in made:
                several = (*several, _marked(value, self.parity_zoo_exit))
            return several
        return _marked(made, self.parity_zoo_exit)


class _Padded:
    """What a `SymmetricPool2d` of ours is meanwhile: the pool that it equals."""

    padded: Any

    def construct(self, x: Tensor) -> Tensor:
        return self.padded(x)


def _marked(value: Any, mark: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == ms.float32:
        return value * mark
    return value


def _mark(path: str, cell: Any) -> tuple[str, float] | None:
    """Return what a Cell does in training alone, and with which probability."""
    kind = type(cell).__name__
    if isinstance(cell, nn.Dropout):
        return "dropout", round(1 - cell.keep_prob, 9) if cell.p is None else float(cell.p)
    if isinstance(cell, nn.Dropout2d):
        return "feature_dropout", round(1 - float(cell.keep_prob), 9)
    if kind in ("DropPath", "StochasticDepth"):  # MindCV's, ours, and many who took it from there
        if not getattr(cell, "scale_by_keep", True):
            raise AdoptionError(f"{path}: {kind}: scale_by_keep (=False) must be True")
        held = [inner.p for inner in cell._cells.values() if isinstance(inner, nn.Dropout)]
        p = getattr(cell, "drop_prob", held[0] if held else None)
        return ("stochastic_depth", float(p or 0.0)) if p is not None else None
    return None


@contextmanager
def undisturbed(network: nn.Cell) -> Iterator[Marks]:
    """Put a Cell into evaluation mode for a while, its dropouts marked, and leave all as it was.

    Yields:
        The name of a mark → what it stands for.
    """
    marks: dict[str, tuple[str, float, str]] = {}
    kinds: dict[nn.Cell, type] = {}
    compiled = set(network.compile_cache)
    hooks = {id(held): (held, dict(held)) for held in _hooks(network)}
    state, mode = np.random.get_state(), ms.get_context("mode")

    def note(cell: nn.Cell, attribute: str, what: tuple[str, float, str]) -> None:
        name = f"{MARK}.{len(marks)}"
        marks[name] = what
        cell._params[attribute] = Parameter(Tensor(1.0, ms.float32), name, requires_grad=False)

    try:
        for held, _ in hooks.values():
            held.clear()
        network.compile_cache.clear()
        framed = {""}
        for path, cell in cells(network):
            kind = type(cell)
            if found := _mark(path, cell):
                note(cell, MARK, (*found, path))
                kinds[cell], cell.__class__ = kind, _Marked
            elif cell not in kinds and path and _is_scope(cell):
                framed.add(path)
                around = next(p for p in _around(path) if p in framed)
                note(cell, MARK, ("scope", 0.0, path))
                note(cell, EXIT, ("scope", 0.0, around))
                own = _Padded.construct if kind.__name__ == POOL else kind.construct
                names = {"construct": _Framed.construct, "parity_zoo_construct": own}
                kinds[cell], cell.__class__ = kind, type(kind.__name__, (kind,), names)
        with LOCK, evaluating(network):
            yield marks
    finally:
        # What was compiled under a name that it had before was compiled over.
        compiled -= network.compile_cache
        network.compile_cache.clear()
        network.compile_cache.update(compiled)
        for cell, kind in kinds.items():
            cell.__class__ = kind
            for attribute in (MARK, EXIT):
                cell._params.pop(attribute, None)
        for held, kept in hooks.values():
            held.update(kept)
        np.random.set_state(state)
        ms.set_context(mode=mode)


def _hooks(network: nn.Cell) -> Iterator[dict[int, Any]]:
    for _, cell in network.cells_and_names():
        yield from (cell._forward_pre_hook, cell._forward_hook)
        yield from (cell._backward_pre_hook, cell._backward_hook)


def cells(network: nn.Cell) -> list[tuple[str, Any]]:
    """Return the Cells with their paths, without those inside of what is one operator."""
    found: list[tuple[str, Any]] = []
    inside: tuple[str, ...] = ("",)
    for path, cell in network.cells_and_names():
        if not path.startswith(inside[1:]):
            found.append((path, cell))
            inside += () if not path or not is_leaf(path, cell) else (f"{path}.",)
    return found


def is_leaf(path: str, cell: nn.Cell) -> bool:
    """Return whether a Cell is one operator."""
    return not cell._cells or type(cell).__name__ == POOL or _mark(path, cell) is not None


def _is_scope(cell: nn.Cell) -> bool:
    """Return whether what a Cell does besides calling others is not named by its parameters."""
    if isinstance(cell, nn.SequentialCell | nn.CellList | nn.CellDict):
        return False
    return bool(cell._cells) or not cell._params


def _around(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition(".")[0]
        yield path
