"""Confusion matrices and grids of pictures, as PNG or SVG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from PIL.Image import Image

NUMBERED = 25
"""Up to so many classes the cells have their numbers in them."""
NAMED = 200
"""Up to so many classes every one of them has its name at the edge."""
NAME = 24
"""Characters of a class's name at the edge."""
LETTERS = 13
"""Of a title, to an inch."""
HEAD = 0.18
"""Inches of a line of it."""
WIDEST = 0.0085
"""Inches of a character, to a point of its size: of the wider ones in a name."""
TILE, GAP = 1.45, 0.08
"""Inches of a picture in a grid, and of what is between two."""
LINE = 0.12
"""Inches of a line below it."""
SIDE = 160
"""Pixels of the longer side of a picture in a grid, at most."""
RIGHT, WRONG = "tab:green", "tab:red"


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture in a grid.

    Attributes:
        pixels: RGB, uint8 (H, W, 3).
        caption: below it.
        color: of the caption and the frame; None for none.
    """

    pixels: np.ndarray
    caption: str = ""
    color: str | None = None


def thumbnail(picture: Image) -> np.ndarray:
    """Return a picture, scaled down if it is large: RGB, uint8 (H, W, 3)."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small)


def draw_confusion(
    confusion: np.ndarray, classes: Sequence[str], title: str = "", *, format: str = "png"
) -> bytes:
    """Return a confusion matrix as a picture.

    The color is the share of the true class's images, its root to scale, so that rare confusions
    can be seen. Classes without images are gray.

    Args:
        confusion: whole numbers (classes, classes), a row a true class.
        classes: their names.
        title: above it.
        format: ``"png"`` or ``"svg"``.
    """
    count = len(classes)
    cell = 0.45 if count <= NUMBERED else 0.115 if count <= NAMED else 20 / count
    side = max(3.0, cell * count)
    step = 1 if count <= NAMED else -(-count // NAMED)
    ticks, size = range(0, count, step), 8 if count <= NUMBERED else 5.5
    names = [shortened(classes[i], NAME) for i in ticks]
    # Places are computed here: matplotlib would draw all the names several times to find them.
    margin = 0.5 + max(map(len, names)) * size * WIDEST
    lines = _lines(title, side + margin + 1)
    figure = Figure(figsize=(side + margin + 1, side + margin + 0.2 + HEAD * len(lines)))
    FigureCanvasAgg(figure)
    _head(figure, lines)
    axes = _axes(figure, margin, margin, side, side)
    totals = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    axes.set_facecolor("0.85")
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    shown = list(map(_plain, names))
    axes.set_xticks(ticks, shown, rotation=90, fontsize=size)
    axes.set_yticks(ticks, shown, fontsize=size)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    if count <= NUMBERED:
        for (i, j), number in np.ndenumerate(confusion):
            if number:
                color = "white" if shares[i, j] > 0.35 else "black"
                axes.text(j, i, str(number), ha="center", va="center", fontsize=7, color=color)
    tall = min(0.6 * side, 4)
    place = _axes(figure, margin + side + 0.2, margin + (side - tall) / 2, 0.15, tall)
    bar = figure.colorbar(image, cax=place, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
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
    captions = [tile.caption.count("\n") + 1 for row in rows for tile in row if tile.caption]
    pitch = TILE + GAP + LINE * max(captions, default=0)
    head = _lines(title, (TILE + GAP) * wide)
    top = GAP + HEAD * len(head) + 2 * LINE * bool(columns)
    height = top + pitch * len(rows)
    figure = Figure(figsize=((TILE + GAP) * wide + GAP, height))
    FigureCanvasAgg(figure)
    _head(figure, head)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            left, bottom = GAP + (TILE + GAP) * j, height - top - pitch * i - TILE
            _draw_tile(_axes(figure, left, bottom, TILE, TILE), tile)
    for j, column in enumerate(columns):
        left = GAP + (TILE + GAP) * j + TILE / 2
        place = (left / figure.get_figwidth(), 1 - (top - LINE / 2) / height)
        figure.text(*place, _plain(column), fontsize=8, ha="center")
    return rendered(figure, "png")


def _draw_tile(axes: Any, tile: Tile) -> None:
    small = max(tile.pixels.shape[:2]) <= 128
    axes.imshow(tile.pixels, interpolation="nearest" if small else "antialiased")
    axes.set_anchor("S")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(_plain(tile.caption), fontsize=6.5, color=tile.color or "black", labelpad=2)
    for edge in axes.spines.values():
        edge.set_visible(tile.color is not None)
        edge.set_color(tile.color or "black")
        edge.set_linewidth(2)


def rendered(figure: Figure, format: str) -> bytes:
    """Return a figure as a file's bytes, the same ones whenever it is drawn."""
    file = io.BytesIO()
    stamp = {"Date": None} if format == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "zoo"}):  # of the names of its parts, random otherwise
        figure.savefig(file, dpi=110, format=format, metadata=stamp)
    return file.getvalue()


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Any:
    """Return axes at a place that is given in inches."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _lines(title: str, wide: float) -> list[str]:
    """Return a title in as many lines as it takes."""
    return textwrap.wrap(title, int(LETTERS * wide), break_on_hyphens=False)


def _head(figure: Figure, lines: Sequence[str]) -> None:
    wide, high = figure.get_size_inches()
    place = (GAP / wide, 1 - GAP / high)
    figure.text(*place, _plain("\n".join(lines)), fontsize=9, ha="left", va="top")


def _plain(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
