"""Evaluations, agreements and predictions as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from zoo.proof.table import STYLE

if TYPE_CHECKING:
    from zoo.evaluation.agreement import Agreement
    from zoo.evaluation.evaluation import Evaluation
    from zoo.evaluation.predictions import Predictions

NAME = 48
"""Characters of an image's name that are shown: its end, which tells it from the others."""


def results(evaluations: Sequence[Evaluation]) -> Table:
    """Return a row for each evaluation: accuracy, and how fast it was."""
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


def classes(found: Evaluation, most: int) -> Table:
    """Return a row for each class, or for the worst of them where there are more than ``most``."""
    shares, counts = found.per_class, found.confusion.sum(1)
    order = np.arange(len(shares))
    title = "classes"
    if len(order) > most:
        order = np.argsort(np.where(counts > 0, shares, np.inf), kind="stable")[:most]
        title = f"the worst {most} of {len(shares)} classes"
    view = Table(title=title, **STYLE)
    view.add_column("class")
    for column in ("images", "right, %"):
        view.add_column(column, justify="right", no_wrap=True)
    view.add_column("taken most often for")
    wrong = found.confusion - np.diag(found.confusion.diagonal())
    for i in order:
        other = int(wrong[i].argmax())
        view.add_row(
            escape(found.classes[i]),
            str(counts[i]),
            f"{shares[i]:.1f}" if counts[i] else "–",
            escape(f"{found.classes[other]} ({wrong[i, other]})") if wrong[i, other] else "",
        )
    return view


def disagreements(agreement: Agreement, most: int) -> Table:
    """Return a row for each image that is named differently, the clearest case first."""
    shown = agreement.disagreements[:most]
    title = f"{len(agreement.disagreements)} disagreements"
    if len(shown) < len(agreement.disagreements):
        title += f", the {most} of the largest margin"
    view = Table(title=title, **STYLE)
    view.add_column("image", overflow="fold")
    for backend in (agreement.reference, "other"):
        view.add_column(backend)
    for column in ("margin", "difference"):
        view.add_column(column, justify="right", no_wrap=True)
    for row in shown:
        view.add_row(
            escape(ending(row.image)),
            escape(row.expected),
            escape(f"{row.found} ({row.backend})"),
            f"{row.margin:.1e}",
            f"{row.difference:.1e}",
        )
    return view


def predictions(found: Predictions) -> Table:
    """Return a row for each picture, with its best classes."""
    view = Table(title=escape(f"{found.weights}, {found.backend}"), **STYLE)
    view.add_column("image", overflow="fold")
    view.add_column("class: probability, %")
    for row in found.rows:
        best = ", ".join(f"{guess.name}: {100 * guess.probability:.1f}" for guess in row.guesses)
        view.add_row(escape(ending(row.image)), escape(best))
    return view


def ending(name: str) -> str:
    """Return the end of a name that is too long to be shown."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"
