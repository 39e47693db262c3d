"""``zoo inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.errors import WeightsError
from zoo.text import visible

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table


def inspect(
    file: Annotated[Path, typer.Argument(help="A file of weights, or hf-hub:owner/repo.")],
    entry: Annotated[str | None, typer.Option(help="Which set of arrays in the file.")] = None,
    depth: Annotated[int, typer.Option(help="Sum up names to so many parts; 0 for all.")] = 2,
) -> None:
    """Show what is in a file of weights: code base, network, conventions, arrays, oddities."""
    _print(file, entry, depth)


def _print(path: Path, entry: str | None, depth: int) -> None:
    """Print what a file holds, and which network it is, or why it is none.

    Args:
        path: the file.
        entry: which set of arrays.
        depth: arrays are summed up to so many parts of their names; 0 for each array.

    Raises:
        WeightsError: the file cannot be read at all.
    """
    from rich.console import Console

    import weights as arrays
    from weights import formats
    from weights.checkpoint import located
    from weights.entries import choose

    console = Console()
    path, _ = located(path)
    name, contents = formats.read(path)
    place, held, notes = choose(contents, entry)
    try:
        summary = arrays.load_weights(path, entry=entry).summary()
        console.print(visible(summary), highlight=False, soft_wrap=True, markup=False)
    except WeightsError as error:
        where = f", entry {place!r}" if place else ""
        lines = [
            f"{path}: {name} file{where}, of no network known here",
            *(f"note: {note}" for note in notes),
            f"because: {error}",
        ]
        console.print(visible("\n".join(lines)), highlight=False, soft_wrap=True, markup=False)
    for key, value in contents.metadata.items():
        line = visible(f"metadata {key}: {value}")
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(_table(held, depth))


def _table(held: Mapping[str, np.ndarray], depth: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from zoo.style import STYLE

    table = Table(**STYLE)
    table.add_column("name", no_wrap=True)
    for column in ("shape", "dtype", "values", "min", "mean", "max"):
        table.add_column(column, justify="right", no_wrap=column != "dtype")
    groups: dict[str, list[np.ndarray]] = {}
    for name, array in held.items():
        key = ".".join(name.split(".")[:depth]) if depth else name
        groups.setdefault(key, []).append(array)
    for key, members in groups.items():
        shape = (
            "×".join(map(str, members[0].shape)) if len(members) == 1 else f"{len(members)} arrays"
        )
        dtypes = sorted({str(array.dtype) for array in members})
        table.add_row(
            Text(visible(key)),
            shape,
            ", ".join(dtypes),
            f"{sum(a.size for a in members):,}",
            *_range(members),
        )
    table.add_section()
    total = sum(array.size for array in held.values())
    table.add_row("total", f"{len(held)} arrays", "", f"{total:,}", "", "", "", style="bold")
    return table


def _range(members: list[np.ndarray]) -> tuple[str, str, str]:
    import numpy as np

    flat = [array.ravel() for array in members if array.size and array.dtype.kind in "fiub"]
    if not flat:
        return ("", "", "")
    values = np.concatenate(flat).astype(np.float64)
    if not np.isfinite(values).all():
        return ("NaN or inf",) * 3
    return (f"{values.min():.3g}", f"{values.mean():.3g}", f"{values.max():.3g}")
