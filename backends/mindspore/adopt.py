"""The way in for MindSpore Cells: `mindspore.export`, whose MINDIR file becomes a program.

The Cell is exported in evaluation mode. What training does beside (dropout, stochastic depth) is
not in such a file: those Cells multiply by a parameter of their own meanwhile, and such a product
is read as what they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindir.adopt import Reader
from backends.mindspore.live import evaluating
from backends.mindspore.model import LOCK
from backends.mindspore.original import Original
from zoo.adoption.program import Program, refuse
from zoo.errors import AdoptionError

MARK = "parity_zoo_mark"
"""Attribute, and start of the name, of what marks a product."""
EXIT = "parity_zoo_exit"


def program(source: nn.Cell, images: np.ndarray) -> Program:
    """Return what a Cell computes.

    Args:
        source: it; left as it was found.
        images: float32 (N, C, H, W), N of at least 2.

    Raises:
        AdoptionError: `mindspore.export` cannot take it, or it computes with what is no float32
            image batch.
    """
    _require_plain(source)
    leaves = frozenset(path for path, cell in source.cells_and_names() if path and not cell._cells)
    with tempfile.TemporaryDirectory() as folder, _undisturbed(source) as marks:
        path = Path(folder) / "network.mindir"
        try:
            ms.export(source, Tensor(images), file_name=str(path), file_format="MINDIR")
        except Exception as error:  # whatever a user's construct raises, or MindSpore refuses
            raise AdoptionError(
                f"{type(source).__name__}: mindspore.export cannot take it: {_first_line(error)}"
            ) from error
        return Reader(path, images.shape, marks, leaves).program()


def original(source: nn.Cell, theirs: Mapping[str, str]) -> Any:
    """Return what runs a Cell as if it were a backend; see `Original`."""
    return Original(source, theirs)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip("- ")]
    return lines[0] if lines else type(error).__name__


def _require_plain(cell: nn.Cell) -> None:
    if isinstance(cell, nn.GraphCell):
        raise AdoptionError("a GraphCell is a file's graph: adopt the .mindir file itself")
    refuse([
        f"{name}: dtype (={p.dtype}) must be Float32"
        for name, p in cell.parameters_and_names()
        if p.dtype in (ms.float16, ms.float64, ms.bfloat16)
    ])  # fmt: skip


class _Marked(nn.Cell):
    """What a Cell is while it is exported that drops values in training."""

    def construct(self, x: Tensor) -> Tensor:
        return x * self.parity_zoo_mark


class _Framed:
    """What the class of a Cell is while it is exported: what enters and leaves it is marked.

    Nodes say which Cell they are of, but wrongly where they are of functions (``x + y``), which
    MindSpore reads once, for the first Cell that calls them.
    """

    def construct(self, *args: Any, **further: Any) -> Any:
        given = ()
        for value in args:
            given = given + (_marked(value, self.parity_zoo_mark),)
        made = self.parity_zoo_construct(*given, **further)
        if isinstance(made, tuple):
            several = ()
            for value in made:
                several = several + (_marked(value, self.parity_zoo_exit),)
            return several
        return _marked(made, self.parity_zoo_exit)


def _marked(value: Any, mark: Any) -> Any:
    if isinstance(value, Tensor):
        if value.dtype == ms.float32:
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
def _undisturbed(network: nn.Cell) -> Iterator[dict[str, tuple[str, Any]]]:
    """Put a Cell into evaluation mode for a while, its dropouts marked, and leave all as it was.

    Yields:
        The name of a mark → what it stands for.
    """
    marks: dict[str, tuple[str, Any]] = {}
    kinds: dict[nn.Cell, type] = {}
    state, mode = np.random.get_state(), ms.get_context("mode")

    def note(cell: nn.Cell, attribute: str, what: tuple[str, Any]) -> None:
        name = f"{MARK}.{len(marks)}"
        marks[name] = what
        cell._params[attribute] = Parameter(Tensor(1.0, ms.float32), name, requires_grad=False)

    try:
        framed = {""}
        for path, cell in [*network.cells_and_names()]:
            kind = type(cell)
            if found := _mark(path, cell):
                note(cell, MARK, found)
                kinds[cell], cell.__class__ = kind, _Marked
            elif cell not in kinds and path and _is_scope(cell):
                framed.add(path)
                around = next(p for p in _around(path) if p in framed)
                note(cell, MARK, ("scope", path))
                note(cell, EXIT, ("scope", around))
                names = {"construct": _Framed.construct, "parity_zoo_construct": kind.construct}
                kinds[cell], cell.__class__ = kind, type(kind.__name__, (kind,), names)
        with LOCK, evaluating(network):
            yield marks
    finally:
        for cell, kind in kinds.items():
            cell.__class__ = kind
            for attribute in (MARK, EXIT):
                cell._params.pop(attribute, None)
        np.random.set_state(state)
        ms.set_context(mode=mode)


def _is_scope(cell: nn.Cell) -> bool:
    """Return whether what a Cell does besides calling others is not named by its parameters."""
    if isinstance(cell, nn.SequentialCell | nn.CellList | nn.CellDict):
        return False
    return bool(cell._cells) or not cell._params


def _around(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition(".")[0]
        yield path
