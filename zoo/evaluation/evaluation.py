"""What an evaluation found: an object, a JSON file, a table, the confusion matrix."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.machine import machine, version
from zoo.measures import Measures
from zoo.output import Summarized, write

if TYPE_CHECKING:
    from rich.table import Table

MOST = 20
"""Confusions that are listed."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Evaluation(Measures, Summarized):
    """How well trained weights name the classes of a data set's images, on one backend.

    Attributes:
        weights: what was evaluated: a run and its epoch, a file, the name of published weights.
        model: the network's name.
        backend: what ran it.
        data: the data set.
        split: the part of it, ``"test"`` or ``"train"``.
        classes: the names of the classes, in the order of the logits.
        logits: of each image, float32 (images, classes).
        labels: the class of each image, int64 (images,).
        numbers: which image of the split each is, int64 (images,).
        names: what each image is called.
        skipped: the names of images that could not be read, where that was asked for.
        pipeline: how pictures were prepared, and who says so.
        first_call_seconds: building the network and the first batch, in which some compile.
        seconds: of the forward passes, preparing the images apart: of all batches but the first, or
            of a second pass where there is only one.
        timed_images: how many images went through in these.
        total_seconds: of everything, from the first image read to the last logits.
        engine: version and threads of the backend.
    """

    weights: str
    model: str
    backend: str
    data: str
    split: str
    classes: tuple[str, ...]
    logits: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    pipeline: str
    first_call_seconds: float
    seconds: float
    timed_images: int
    total_seconds: float
    engine: Mapping[str, str]

    @property
    def predictions(self) -> np.ndarray:
        """The class of the largest logit of each image, int64 (images,)."""
        return np.asarray(self.logits.argmax(1))

    @property
    def images_per_second(self) -> float:
        """Throughput of the forward passes."""
        return self.timed_images / self.seconds

    def confused(self, most: int = MOST) -> list[tuple[str, str, int]]:
        """Return the commonest confusions: (class, what it was taken for, how many images)."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [
            (self.classes[i], self.classes[j], int(wrong[i, j]))
            for i, j in zip(rows, columns, strict=True)
            if wrong[i, j]
        ]

    def by_class(self) -> list[tuple[str, int, float, str]]:
        """Return (name, images, percentage that is right, what it is taken for most) by class."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        most = [
            (self.classes[i], int(row[i])) for row, i in zip(wrong, wrong.argmax(1), strict=True)
        ]
        others = [f"{name} ({times})" if times else "" for name, times in most]
        counts, shares = self.confusion.sum(1).tolist(), self.per_class.tolist()
        return list(zip(self.classes, counts, shares, others, strict=True))

    def summary(self) -> str:
        """Return one line."""
        skipped = f", {len(self.skipped)} images skipped" if self.skipped else ""
        return (
            f"{self.weights} on {self.data} ({self.split}), {self.backend}: "
            f"top-1 {self.top1:.2f} %, top-5 {self.top5:.2f} %, loss {self.loss:.4f} "
            f"over {self.images} images{skipped}"
        )

    def to_json(self) -> str:
        """Return all but the logits as JSON; the percentage of a class without images is null."""
        left_out = ("logits", "labels", "numbers", "names", "confusion", "classes")
        told = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        fields: dict[str, Any] = {name: getattr(self, name) for name in told}
        fields["images_per_second"] = self.images_per_second
        fields["classes"] = [
            {"name": name, "images": count, "top1": share if count else None}
            for name, count, share, _ in self.by_class()
        ]
        fields["confused"] = self.confused()
        fields["confusion"] = self.confusion.tolist()
        fields["made_with"] = {
            "parity-zoo": version("parity-zoo"),
            "machine": dataclasses.asdict(machine()),
        }
        return json.dumps(fields, indent=1, ensure_ascii=False)

    def save_confusion(self, path: str | Path) -> None:
        """Write the confusion matrix as CSV: a row a true class, a column a predicted one.

        Raises:
            ZooError: it cannot be written.
        """
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        names = [_cell(name) for name in self.classes]
        rows.writerow(["true \\ predicted", *names])
        for name, counts in zip(names, self.confusion.tolist(), strict=True):
            rows.writerow([name, *counts])
        write(Path(path), text.getvalue().encode())

    def plot_confusion(self, path: str | Path) -> None:
        """Draw the confusion matrix as a PNG, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        from zoo.evaluation.charts import draw_confusion

        write(Path(path), draw_confusion(self.confusion, self.classes, self.summary()))

    def table(self) -> Table:
        """Return the measures as a table for the terminal (`rich`)."""
        return results([self])

    def class_table(self, most: int = MOST) -> Table:
        """Return the classes as a table for the terminal: all, or the worst of many."""
        from rich.table import Table

        from zoo.style import STYLE, escape

        rows, title = self.by_class(), "classes"
        if len(rows) > most:
            title = f"the worst {most} of {len(rows)} classes"
            rows = sorted(rows, key=lambda row: row[2] if row[1] else np.inf)[:most]
        view = Table(title=title, **STYLE)
        view.add_column("class")
        for column in ("images", "right, %"):
            view.add_column(column, justify="right", no_wrap=True)
        view.add_column("taken most often for")
        for name, count, share, other in rows:
            right = f"{share:.1f}" if count else "–"
            view.add_row(escape(name), str(count), right, escape(other))
        return view

    def __str__(self) -> str:
        return self.summary()


def results(evaluations: Sequence[Evaluation]) -> Table:
    """Return a row for each evaluation: accuracy, and how fast it was."""
    from rich.table import Table

    from zoo.style import STYLE, escape

    first = evaluations[0]
    title = f"{first.weights} on {first.data}, {first.split}: {first.images} images"
    view = Table(title=escape(title), **STYLE)
    view.add_column("backend", no_wrap=True)
    for column in ("loss", "top-1, %", "top-5, %", "images/s", "first call", "all of it"):
        view.add_column(column, justify="right", no_wrap=True)
    for found in evaluations:
        view.add_row(
            found.backend,
            f"{found.loss:.4f}",
            f"{found.top1:.2f}",
            f"{found.top5:.2f}",
            f"{found.images_per_second:.1f}",
            f"{found.first_call_seconds:.2f} s",
            f"{found.total_seconds:.2f} s",
        )
    return view


def _cell(name: str) -> str:
    """Return a name as spreadsheets show it, who take some of them for a formula to run."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
