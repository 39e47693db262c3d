"""What the command line prints: tables and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from zoo.arch import Cost, Spec
from zoo.proof.prove import Progress as Report
from zoo.style import STYLE


def print_info(name: str, spec: Spec, cost: Cost, depth: int) -> None:
    """Print a row for each node, or for each name of ``depth`` parts, and the totals."""
    console = Console()
    table = Table(title=f"{name}  ({spec.conventions_told})", **STYLE)
    table.add_column("name", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    for column in ("output", "params", "MACs", "memory"):
        table.add_column(column, justify="right", no_wrap=True)
    groups: dict[str, list[int]] = {}
    for i, node in enumerate(cost.nodes):
        key = ".".join(node.name.split(".")[:depth]) if depth else node.name
        groups.setdefault(key, []).append(i)
    for key, members in groups.items():
        rows = [cost.nodes[i] for i in members]
        table.add_row(
            key,
            rows[0].op if len(rows) == 1 else f"{len(rows)} nodes",
            "×".join(map(str, rows[-1].shape[1:])),
            _count(sum(row.params for row in rows)),
            _count(sum(row.macs for row in rows)),
            _bytes(sum(row.activation_bytes for row in rows)),
        )
    table.add_section()
    size = "×".join(map(str, cost.input_shape[1:]))
    table.add_row(
        "total",
        "",
        "",
        _count(cost.params),
        _count(cost.macs),
        _bytes(cost.activation_bytes),
        style="bold",
    )
    console.print(table)
    console.print(
        f"{cost.params:,} parameters · {cost.macs / 1e6:.2f}M multiply-adds · "
        f"{_bytes(cost.peak_bytes)} of activations\n"
        f"alive at once · input {size} · spec {spec.sha256[:16]}",
        highlight=False,
    )


def _count(value: int) -> str:
    return f"{value:,}" if value else "–"


def _bytes(value: int) -> str:
    return f"{value / 2**20:.2f} MiB"


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show a bar while the body runs, and hand it the function that moves it.

    Where there is no terminal (a log, a pipe) a line a step goes to standard error instead.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        told: list[str] = []

        def tell(what: str, done: int, total: int) -> None:
            if told[-1:] != [what]:  # of what takes many steps (batches of images), the first
                told.append(what)
                print(f"[{done}/{total}] {what}", file=sys.stderr)

        yield tell
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("references", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )
