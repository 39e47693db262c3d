"""The error along the depth of the network, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.output import write
from zoo.proof.finding import Finding

_SMALLEST = 1e-9
"""What an error of zero is drawn as: the axis is logarithmic."""


def draw(title: str, findings: Sequence[Finding], path: Path) -> None:
    """Write a PNG with a panel for each level that has an error for every node or parameter."""
    panels = {(f.level, f.measure): None for f in findings if len(f.errors) > 1 and f.tolerance}
    figure = Figure(figsize=(11, 2.6 * max(len(panels), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    rows = figure.subplots(max(len(panels), 1), 1, squeeze=False)[:, 0]
    for axes, (level, measure) in zip(rows, panels, strict=False):
        names: list[str] = []
        for f in findings:
            if (f.level, f.measure) != (level, measure):
                continue
            names = list(f.errors)
            drawn = [min(max(error, _SMALLEST), 1e3) for error in f.errors.values()]
            axes.semilogy(
                drawn, label=f.backend, linewidth=1.2, marker="." if len(drawn) < 20 else ""
            )
            limits = [f.admitted.get(name, f.tolerance) for name in names]
            axes.semilogy(limits, color="tab:red", linewidth=0.8, linestyle="--")
            if f.diverges_at:
                where = names.index(f.diverges_at)
                axes.axvline(where, color="tab:red", linewidth=0.8)
                axes.annotate(f.diverges_at, (where, drawn[where]), fontsize=8, color="tab:red")
        axes.set_title(f"{level}: {measure}", fontsize=9, loc="left")
        axes.set_ylabel("relative error", fontsize=8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
        _label_depth(axes, names)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    write(path, file.getvalue())


def _label_depth(axes: Any, names: list[str]) -> None:
    """Mark where each top-level scope begins, as far as there is room for its name."""
    tops = [name.split(".")[0] for name in names]
    begins: list[int] = []
    for i, top in enumerate(tops):
        new = i == 0 or tops[i - 1] != top
        if new and (not begins or i - begins[-1] > 0.06 * len(names)):
            begins.append(i)
    axes.set_xticks(begins, [tops[i] for i in begins], fontsize=8)
