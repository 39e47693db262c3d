"""A benchmark as a picture: a row of bars for each batch size."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.bench.measurement import Measurement, significant

_ERRORS = (1e-9, 1e3)
"""Between these an error is drawn: its axis is logarithmic, and it may be zero or infinite."""

PANELS: dict[str, Callable[[Measurement], float]] = {
    "latency, ms (quartiles)": lambda row: 1e3 * row.seconds,
    "images per second": lambda row: row.images_per_second,
    "peak memory of the process, MiB": lambda row: row.peak_bytes / 2**20,
    "first call (build, compile, run), s": lambda row: row.first_call_seconds,
    "error against float64": lambda row: row.error,
}
"""Title → the length of the bar."""


def draw(
    model: str, made_with: Mapping[str, Any], batches: Mapping[int, Sequence[Measurement]]
) -> bytes:
    """Return a PNG with a row of panels for each batch size and a bar for each engine."""
    deepest = max((len(rows) for rows in batches.values()), default=1)
    height = 0.8 + max(len(batches), 1) * (0.9 + 0.26 * deepest)
    figure = Figure(figsize=(16, height), layout="constrained")
    FigureCanvasAgg(figure)
    machine, size = made_with["machine"], made_with["image_size"]
    figure.suptitle(
        f"{model}, {size[0]}×{size[1]}, float32, {made_with['threads']} threads, {machine['cpu']}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    grid = figure.subplots(max(len(batches), 1), len(PANELS), squeeze=False)
    for line, (batch, rows) in zip(grid, batches.items(), strict=False):
        for axes, (title, length) in zip(line, PANELS.items(), strict=True):
            _bars(axes, rows, title, [length(row) for row in rows])
        ends = [1e3 * row.quartiles[1] for row in rows]
        line[0].hlines(range(len(rows)), [1e3 * row.quartiles[0] for row in rows], ends, "black")
        line[0].set_ylabel(f"batch {batch}", fontsize=9, fontweight="bold")
        line[0].set_yticks(range(len(rows)), [row.form.label for row in rows], fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, dpi=110, format="png")
    return file.getvalue()


def _bars(axes: Any, rows: Sequence[Measurement], title: str, lengths: list[float]) -> None:
    engines = list(dict.fromkeys(row.form.backend for row in rows))
    drawn, labels, ends = lengths, [significant(length) for length in lengths], lengths
    if title.startswith("error"):
        drawn = ends = [min(max(length, _ERRORS[0]), _ERRORS[1]) for length in lengths]
        labels = [f"{length:.1e}" for length in lengths]
        axes.set_xscale("log")
        axes.set_xlim(_ERRORS[0] / 10, max(drawn) * 100)
    elif title.startswith("latency"):
        ends = [1e3 * row.quartiles[1] for row in rows]
    bars = axes.barh(
        range(len(rows)),
        drawn,
        color=[f"C{engines.index(row.form.backend)}" for row in rows],
        height=0.7,
    )
    for i, (bar, row) in enumerate(zip(bars, rows, strict=True)):
        bar.set_alpha(1.0 if row.form.optimized else 0.6)
        axes.annotate(
            labels[i], (ends[i], i), (3, 0), textcoords="offset points", va="center", fontsize=7
        )
    if not title.startswith("error"):
        axes.set_xlim(0, 1.2 * max(ends))
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
