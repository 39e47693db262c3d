"""Cells by their dotted names."""

from __future__ import annotations

from typing import Any

from mindspore import nn


def get(cell: nn.Cell, path: str) -> nn.Cell | None:
    """Return the Cell under a dotted name, if there is one."""
    found: Any = cell
    for part in path.split(".") if path else ():
        found = found.name_cells().get(part) if found is not None else None
    return found


def put(cell: nn.Cell, path: str, layer: nn.Cell) -> None:
    """Put another Cell where a dotted name leads; parameters keep their names."""
    outer, _, name = path.rpartition(".")
    parent: Any = get(cell, outer)
    parent.insert_child_to_cell(name, layer)
    if isinstance(parent, nn.SequentialCell):  # which calls a list of its own
        parent.cell_list = list(parent.name_cells().values())
