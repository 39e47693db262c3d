"""The charts of what deploy.py measured, as SVG that is the same whenever it is drawn.

Each file says in its metadata which numbers and which version of this module it was drawn from:
that is what is compared to find out whether it is up to date, because the next matplotlib may draw
the same chart with other coordinates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, PEERS, MISSED, INK = "#1b6ca8", "#b4b4b4", "#c0392b", "#333333"
STYLE = {
    "svg.hashsalt": "parity-zoo",
    "svg.fonttype": "none",  # text stays text: small, and searched
    "font.family": ["sans-serif"],
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.color": INK,
}

Row = dict[str, Any]


def digest(measured: Row) -> str:
    """Return what tells the numbers and this module from others."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(json.dumps(measured["models"], sort_keys=True).encode())
    return found.hexdigest()


def is_drawn(path: Path, wanted: str) -> bool:
    """Return whether a chart was drawn from the numbers with this digest."""
    return path.exists() and f"drawn from {wanted}" in path.read_text()


def batch_1(measured: Row, path: Path) -> None:
    """Draw the latency of every engine."""
    _times(measured, 1, path)


def batch_32(measured: Row, path: Path) -> None:
    """Draw the time that a batch of 32 takes in every engine."""
    _times(measured, 32, path)


def ratios(measured: Row, path: Path) -> None:
    """Draw the ratios that something was wanted of: the median, all rounds, and what was wanted."""
    rows = [
        (f"{model.removeprefix('shufflenet_')}, {row['about']}, batch {row['batch']}", row)
        for model, results in measured["models"].items()
        for row in results["comparisons"]
        if "target" in row
    ]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, 0.8 + 0.2 * len(rows)), layout="constrained")
        for y, (_, row) in enumerate(rows):
            color = OURS if row["passed"] else MISSED
            # Relative to what was wanted, so that one axis serves 1.12 and 10.
            rounds = [ratio / row["target"] for ratio in row["ratio_by_round"]]
            axes.plot([min(rounds), max(rounds)], [y, y], color=color, linewidth=1, alpha=0.5)
            axes.plot(rounds, [y] * len(rounds), "|", color=color, markersize=5, alpha=0.5)
            axes.plot(row["ratio"] / row["target"], y, "o", color=color, markersize=4)
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.invert_yaxis()
        axes.set_xlabel("speed over the peer's, as a multiple of what was wanted")
        _save(figure, measured, path)


def _times(measured: Row, batch: int, path: Path) -> None:
    """Draw a panel a network: images per second of every engine, the fastest on top."""
    with mpl.rc_context(STYLE):
        found = {
            model: _rates(results, batch)
            for model, results in measured["models"].items()
            if _rates(results, batch)
        }
        most = max(map(len, found.values()), default=1)
        across = 2
        down = max(1, -(-len(found) // across))
        figure, panels = plt.subplots(
            down,
            across,
            figsize=(10, down * (0.7 + 0.15 * most)),
            layout="constrained",
            squeeze=False,
        )
        for panel in panels.flat:
            panel.set_axis_off()
        for panel, (model, rates) in zip(panels.flat, found.items(), strict=False):
            panel.set_axis_on()
            _bars(panel, model, rates)
        figure.supxlabel(f"images per second, batch {batch} (blue: ours)", fontsize=8)
        _save(figure, measured, path)


def _rates(results: Row, batch: int) -> list[tuple[str, str, float]]:
    """Return (engine, side, images per second), the fastest first."""
    found = [
        (name, engine["side"], engine["images_per_second"][str(batch)])
        for name, engine in results["engines"].items()
        if str(batch) in engine["images_per_second"]
    ]
    return sorted(found, key=lambda row: -row[2])


def _bars(axes: Axes, model: str, rates: list[tuple[str, str, float]]) -> None:
    places = range(len(rates))
    colors = [OURS if side == "zoo" else PEERS for _, side, _ in rates]
    axes.barh(places, [rate for *_, rate in rates], color=colors, height=0.75)
    for place, (*_, rate) in zip(places, rates, strict=True):
        axes.text(rate, place, f" {rate:.0f}" if rate >= 10 else f" {rate:.1f}", va="center")
    axes.set_yticks(places, [name for name, *_ in rates])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_title(model, loc="left", fontsize=9)


def _save(figure: Figure, measured: Row, path: Path) -> None:
    about = {"Date": None, "Creator": None, "Description": f"drawn from {digest(measured)}"}
    figure.savefig(path, format="svg", metadata=about)
    plt.close(figure)
    # matplotlib leaves blanks at the ends of lines.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


CHARTS: dict[str, Callable[[Row, Path], None]] = {
    "deploy-ratios.svg": ratios,
    "deploy-batch-1.svg": batch_1,
    "deploy-batch-32.svg": batch_32,
}
"""File → what draws it."""
