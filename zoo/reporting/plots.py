"""Pictures of a run: its curves, and samples of its images raw, augmented and predicted."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.data import Split
from zoo.data.draws import generator_of
from zoo.data.transforms import pixels
from zoo.evaluation.charts import (
    RIGHT,
    WRONG,
    Tile,
    draw_grid,
    rendered,
    shortened,
    thumbnail,
)
from zoo.evaluation.evaluation import Evaluation
from zoo.measures import softmax
from zoo.recipes import Recipe

POINTS = 1000
"""Of a curve over the steps, at most; each is the mean of as many steps as it stands for."""
COLUMNS = 8
CAPTION = 22
"""Characters of a class's name below a picture."""

Rows = Sequence[dict[str, float]]


def embedded(contents: bytes, kind: str = "png") -> str:
    """Return a picture as an address that holds it: a page with it loads nothing."""
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def draw_curves(epochs: Rows, steps: Rows, *, format: str = "png") -> bytes:
    """Return the curves of loss, accuracy and learning rate over the epochs.

    Args:
        epochs: the rows of a run's ``epochs.csv``.
        steps: those of its ``steps.csv``.
        format: ``"png"`` or ``"svg"``.
    """
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, rate = figure.subplots(1, 3)
    per_epoch = epochs[-1]["step"] / epochs[-1]["epoch"] if epochs else None
    unit = per_epoch or 1.0
    _line(loss, _over_steps(steps, "loss", unit), "training, each step", color="C0", alpha=0.3)
    _line(loss, _column(epochs, "loss"), "training", color="C0")
    _line(loss, _column(epochs, "val_loss"), "validation", color="C1")
    _line(accuracy, _column(epochs, "top1"), "training, top-1", color="C0")
    _line(accuracy, _column(epochs, "val_top1"), "validation, top-1", color="C1")
    _line(accuracy, _column(epochs, "val_top5"), "validation, top-5", color="C2")
    at_steps = _over_steps(steps, "lr", unit)
    _line(rate, at_steps if len(at_steps[0]) else _column(epochs, "lr"), "", color="C3")
    for axes, title in ((loss, "loss"), (accuracy, "accuracy, %"), (rate, "learning rate")):
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel("epoch" if per_epoch else "step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7)
    return rendered(figure, format)


def _line(axes: Any, points: tuple[np.ndarray, np.ndarray], label: str, **style: Any) -> None:
    x, y = points
    if len(x):
        # A single epoch is no line yet.
        marker = "." if len(x) < 20 else ""
        axes.plot(x, y, label=label, linewidth=1.2, marker=marker, **style)


def _column(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    held = [(row["epoch"], row[name]) for row in rows if name in row]
    x, y = np.array(held, np.float64).reshape(-1, 2).T
    return x, y


def _over_steps(rows: Rows, name: str, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a column over the epochs, the steps taken together where there are many."""
    held = [(row["step"] / unit, row[name]) for row in rows if name in row]
    points = np.array(held, np.float64).reshape(-1, 2)
    if len(points) > POINTS:
        parts = np.array_split(points, POINTS)
        points = np.array([part.mean(0) for part in parts])
    x, y = points.T
    return x, y


def draw_raw(split: Split, count: int = 2 * COLUMNS) -> bytes:
    """Return images as they are in the data, evenly spaced, with their classes: a PNG."""
    tiles = [
        Tile(thumbnail(split.images.picture(i)), _short(split.classes[split.labels[i]]))
        for i in _spaced(len(split), count)
    ]
    return draw_grid(_rows(tiles))


def draw_augmented(split: Split, recipe: Recipe, count: int = 4) -> bytes:
    """Return images as they are, and beside each what training sees of it: a PNG.

    What is drawn for them is what a run of this recipe draws in its first epochs. Mixing, which
    blends the images of a batch, is left out.
    """
    rows = []
    for i in _spaced(len(split), count):
        picture = split.images.picture(i)
        seen = [
            pixels(picture, recipe.train[:-1], generator_of(recipe.seed, epoch, i))
            for epoch in range(1, COLUMNS)
        ]
        name = _short(split.classes[split.labels[i]])
        rows.append([Tile(thumbnail(picture), name), *map(Tile, seen)])
    return draw_grid(rows, columns=["raw", *(f"epoch {epoch}" for epoch in range(1, COLUMNS))])


def draw_predicted(found: Evaluation, split: Split, count: int = 2 * COLUMNS) -> bytes:
    """Return images with what they were taken for: half of them right, half wrong, as a PNG.

    The right ones are evenly spaced; the wrong ones are those that the network was surest of.

    Args:
        found: an evaluation.
        split: the images that it is of.
        count: how many, as far as there are so many right and wrong ones.
    """
    sure = softmax(found.logits)
    predicted = found.predictions
    right = np.flatnonzero(predicted == found.labels)
    wrong = np.flatnonzero(predicted != found.labels)
    surest = np.argsort(-sure[wrong, predicted[wrong]], kind="stable")
    chosen = [
        *right[_spaced(len(right), count // 2)].tolist(),
        *wrong[surest][: count - count // 2].tolist(),
    ]
    tiles = []
    for i in chosen:
        guess, label = int(predicted[i]), int(found.labels[i])
        caption = f"{_short(found.classes[guess])} {100 * sure[i, guess]:.0f} %"
        if guess != label:
            caption += f"\nis {_short(found.classes[label])}"
        picture = split.images.picture(int(found.numbers[i]))
        tiles.append(Tile(thumbnail(picture), caption, RIGHT if guess == label else WRONG))
    return draw_grid(_rows(tiles))


def _spaced(total: int, count: int) -> list[int]:
    count = min(total, count)
    # From the middle of each part: the first images of a class are no better than the others.
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def _rows(tiles: list[Tile]) -> list[list[Tile]]:
    return [tiles[at : at + COLUMNS] for at in range(0, len(tiles), COLUMNS)]


def _short(name: str) -> str:
    return shortened(name, CAPTION)
