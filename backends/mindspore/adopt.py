"""The way in for MindSpore Cells: `mindspore.export`, whose MINDIR file becomes a program.

The Cell is exported in evaluation mode; what such a file does not tell is marked in it (`marking`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from backends.mindir.adopt import Reader
from backends.mindspore.marking import cells, is_leaf, undisturbed
from backends.mindspore.original import Original
from zoo.adoption.program import Program, drawn, refuse
from zoo.errors import AdoptionError


def program(source: nn.Cell, images: np.ndarray | None) -> Program:
    """Return what a Cell computes.

    Args:
        source: it; left as it was found.
        images: float32 (N, C, H, W), N of at least 2, or None.

    Raises:
        AdoptionError: `mindspore.export` cannot take it, or it computes with what is no float32
            image batch.
    """
    _require_plain(source)
    images = drawn() if images is None else images
    momenta = {cell.moving_mean.name: round(float(cell.momentum), 9) for cell in _norms(source)}
    leaves = frozenset(path for path, cell in cells(source) if path and is_leaf(path, cell))
    with tempfile.TemporaryDirectory() as folder, undisturbed(source) as marks:
        path = Path(folder) / "network.mindir"
        try:
            ms.export(source, Tensor(images), file_name=str(path), file_format="MINDIR")
        except Exception as error:  # whatever a user's construct raises, or MindSpore refuses
            raise AdoptionError(
                f"{type(source).__name__}: mindspore.export cannot take it: {_first_line(error)}"
            ) from error
        fixed = frozenset(p.name for p in source.get_parameters() if not p.requires_grad)
        found = Reader(path, images.shape, marks, momenta, leaves, fixed).program()
    held = {p.name: p.asnumpy() for p in source.get_parameters() if p.dtype == ms.float32}
    found.arrays = {**held, **found.arrays}  # those that nothing depends on are told
    return found


def inner(source: nn.Cell) -> nn.Cell:
    """Return the Cell: nothing that wraps one is looked into."""
    return source


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
        f"{cell.moving_mean.name.rpartition('.')[0]}: use_batch_statistics (={fixed}) must be None"
        for cell in _norms(cell) if (fixed := cell.use_batch_statistics) is not None
    ])  # fmt: skip
    refuse([
        f"{name}: dtype (={p.dtype}) must be Float32"
        for name, p in cell.parameters_and_names()
        if p.dtype in (ms.float16, ms.float64, ms.bfloat16)
    ])  # fmt: skip


def _norms(network: nn.Cell) -> Iterator[Any]:
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            yield cell
