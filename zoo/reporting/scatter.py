"""Networks as points: how accurate they are, over how much they compute."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.errors import ZooError
from zoo.evaluation.charts import rendered
from zoo.output import write

FORMATS = (".png", ".svg")
Point = tuple[str, str, float, float]
"""Family, name, multiply-adds, top-1 accuracy in percent."""
SHAPES = "osD^vP*X"


def save(path: Path, points: Iterable[Point]) -> None:
    """Write a picture with a point a network, its format by the file's suffix.

    Raises:
        ZooError: the suffix is of no picture, or there is nothing to draw.
        OutputError: the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ZooError(f"{path}: the suffix must be one of {', '.join(FORMATS)}")
    write(path, draw(points, format=path.suffix[1:]))


def draw(points: Iterable[Point], *, format: str = "png") -> bytes:
    """Return the picture: multiply-adds to a logarithmic scale, a color and shape a family.

    Raises:
        ZooError: there is nothing to draw.
    """
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point[0], []).append(point)
    if not families:
        raise ZooError("no network has published weights whose accuracy is known")
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.margins(x=0.12)
    for i, (family, members) in enumerate(sorted(families.items())):
        axes.scatter(
            [macs for _, _, macs, _ in members],
            [top1 for _, _, _, top1 in members],
            label=family, s=28, marker=SHAPES[i % len(SHAPES)], color=f"C{i % 10}",
        )  # fmt: skip
    for _, name, macs, top1 in _ahead([p for members in families.values() for p in members]):
        axes.annotate(name, (macs, top1), xytext=(-4, 4), textcoords="offset points",
                      fontsize=7, ha="right")  # fmt: skip
    axes.set_xlabel("multiply-adds of an image")
    axes.set_ylabel("top-1 accuracy on ImageNet, %, as published")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    return rendered(figure, format)


def _ahead(points: list[Point]) -> Iterable[Point]:
    """Yield those that no network with as little work surpasses."""
    best = 0.0
    for point in sorted(points, key=lambda p: (p[2], -p[3])):
        if point[3] > best:
            best = point[3]
            yield point
