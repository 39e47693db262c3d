"""Confusion matrices and grids of pictures, as PNG or SVG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

NUMBERED = 25
"""Up to so many classes the cells have their numbers in them."""
NAMED = 200
"""Up to so many classes every one of them has its name at the edge."""
NAME = 24
"""Characters of a class's name at the edge."""
LETTERS = 13
"""Of a title, to an inch."""
TILE = 1.5
"""Inches of a picture in a grid."""
LINE = 0.13
"""Inches of a line of text in a grid."""
RIGHT, WRONG = "tab:green", "tab:red"


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture in a grid.

    Attributes:
        pixels: RGB, uint8 (H, W, 3).
        caption: below it.
        colour: of the caption and the frame; None for none.
    """

    pixels: np.ndarray
    caption: str = ""
    colour: str | None = None


def draw_confusion(
    confusion: np.ndarray, classes: Sequence[str], title: str = "", *, format: str = "png"
) -> bytes:
    """Return a confusion matrix as a picture.

    The colour is the share of the true class's images, its root to scale, so that rare confusions
    can be seen. Classes without images are grey.

    Args:
        confusion: whole numbers (classes, classes), a row a true class.
        classes: their names.
        title: above it.
        format: ``"png"`` or ``"svg"``.
    """
    count = len(classes)
    cell = 0.45 if count <= NUMBERED else 0.115 if count <= NAMED else 20 / count
    side = max(3.0, cell * count)
    figure = Figure(figsize=(side + 2.6, side + 1.8), layout="constrained")
    FigureCanvasAgg(figure)
    _head(figure, title)
    axes = figure.subplots()
    totals = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    axes.set_facecolor("0.85")
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    step = 1 if count <= NAMED else -(-count // NAMED)
    ticks, size = range(0, count, step), 8 if count <= NUMBERED else 5.5
    names = [_plain(shortened(classes[i], NAME)) for i in ticks]
    axes.set_xticks(ticks, names, rotation=90, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    if count <= NUMBERED:
        for (i, j), number in np.ndenumerate(confusion):
            if number:
                colour = "white" if shares[i, j] > 0.35 else "black"
                axes.text(j, i, str(number), ha="center", va="center", fontsize=7, color=colour)
    bar = figure.colorbar(
        image, ax=axes, shrink=min(0.6, 4 / side), ticks=[0, 0.01, 0.05, 0.2, 0.5, 1]
    )
    bar.ax.set_yticklabels(["0", "1 %", "5 %", "20 %", "50 %", "100 %"], fontsize=7)
    return rendered(figure, format)


def draw_grid(
    rows: Sequence[Sequence[Tile]], title: str = "", *, columns: Sequence[str] = ()
) -> bytes:
    """Return pictures in rows as a PNG, each in the middle of its place, its pixels to be seen.

    Args:
        rows: the pictures; rows may differ in length.
        title: above all.
        columns: above each column.
    """
    wide = max((len(row) for row in rows), default=1)
    lines = max((tile.caption.count("\n") + 1 for row in rows for tile in row), default=1)
    height = (TILE + LINE * lines) * len(rows) + 2 * LINE * (bool(title) + bool(columns))
    figure = Figure(figsize=(TILE * wide + 0.2, height + 0.1), layout="constrained")
    FigureCanvasAgg(figure)
    _head(figure, title)
    grid = figure.subplots(len(rows), wide, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        for axes in line[len(row) :]:
            axes.set_axis_off()
        for axes, tile in zip(line, row, strict=False):
            _draw_tile(axes, tile)
    for axes, column in zip(grid[0], columns, strict=False):
        axes.set_title(_plain(column), fontsize=8)
    return rendered(figure, "png")


def _draw_tile(axes: Any, tile: Tile) -> None:
    small = max(tile.pixels.shape[:2]) <= 128
    axes.imshow(tile.pixels, interpolation="nearest" if small else "antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(_plain(tile.caption), fontsize=6.5, color=tile.colour or "black", labelpad=2)
    for edge in axes.spines.values():
        edge.set_visible(tile.colour is not None)
        edge.set_color(tile.colour or "black")
        edge.set_linewidth(2)


def rendered(figure: Figure, format: str) -> bytes:
    """Return a figure as a file's bytes, the same ones whenever it is drawn."""
    file = io.BytesIO()
    stamp = {"Date": None} if format == "svg" else {"Software": None}
    figure.savefig(file, dpi=110, format=format, metadata=stamp)
    return file.getvalue()


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _head(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as it takes."""
    if title:
        wide = int(LETTERS * figure.get_figwidth())
        lines = textwrap.wrap(title, wide, break_on_hyphens=False)
        figure.suptitle(_plain("\n".join(lines)), fontsize=9, x=0.01, ha="left")


def _plain(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
