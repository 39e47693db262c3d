"""A benchmark as a table for the terminal, with the latencies as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.bar import Bar
from rich.table import Table

from zoo.bench.measurement import FLOAT32, Measurement, significant
from zoo.style import STYLE

NARROWEST = 6
"""Characters of the longest bar, at least."""


def table(
    model: str, made_with: Mapping[str, Any], batches: Mapping[int, Sequence[Measurement]]
) -> Table:
    """Return a row for each engine and batch size; a bar is a latency, to scale in its batch."""
    size = "×".join(map(str, made_with["image_size"]))
    threads = made_with["threads"]
    title = f"{model}, {size}, float32, {threads} thread{'s' if threads > 1 else ''}"
    view = Table(title=title, expand=True, show_edge=False, **STYLE)
    view.add_column("engine", no_wrap=True)
    for column in ("latency,\nms", "speed", "images\n/s", "peak\nMiB", "first\ncall", "error"):
        view.add_column(column, justify="right", no_wrap=True)
    view.add_column("", min_width=NARROWEST, ratio=1)
    for batch, rows in batches.items():
        longest = max(row.seconds for row in rows)
        view.add_row(f"[bold]batch {batch}[/]")
        for row in rows:
            view.add_row(row.form.label, *_cells(row), Bar(longest, 0, row.seconds))
    return view


def _cells(row: Measurement) -> list[str]:
    spread = 50 * (row.quartiles[1] - row.quartiles[0]) / row.seconds
    error = f"{row.error:.1e}" if row.error else "0"
    return [
        f"{significant(1e3 * row.seconds)} ±{spread:2.0f} %",
        significant(row.speed),
        significant(row.images_per_second),
        f"{row.peak_bytes / 2**20:.0f}",
        f"{row.first_call_seconds:.2f} s",
        error if row.error <= FLOAT32 else f"[red]{error}[/]",
    ]
