"""Whether backends name the same class for every image, and by how little where they do not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data import Dataset
from zoo.errors import InputError, ZooError
from zoo.evaluation.evaluation import Evaluation
from zoo.evaluation.runner import evaluate_network, open_data
from zoo.evaluation.setup import Setup
from zoo.loading import Source
from zoo.output import write
from zoo.proof.measure import relative_maximum
from zoo.proof.tolerances import FORWARD

if TYPE_CHECKING:
    from rich.table import Table

ROUNDING = 2 * FORWARD.limit
"""Margin below which a disagreement is a matter of rounding: both logits may be off by what a proof
admits of them."""
MOST = 20
"""Disagreements that a table shows."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image that is given another class than by the reference.

    Attributes:
        image: what it is called.
        label: its true class.
        expected: the reference's class.
        backend: who says otherwise.
        found: its class.
        margin: by how much the reference's logit of its own class is above that of the class found,
            relative to the range of the image's logits.
        difference: the largest difference of the image's logits from the reference's, likewise.
    """

    image: str
    label: str
    expected: str
    backend: str
    found: str
    margin: float
    difference: float

    @property
    def rounding(self) -> bool:
        """Whether the two classes are so close that rounding decides."""
        return self.margin <= ROUNDING


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Evaluations of the same images beside the first of them.

    Attributes:
        evaluations: those compared; the first is the reference.
        reference: what the first is called: its backend, and its weights where these differ.
        differences: what each other is called → the largest difference of its logits from the
            reference's, relative to the largest logit.
        disagreements: of all images and evaluations, the largest margin first.
    """

    evaluations: tuple[Evaluation, ...]
    reference: str
    differences: Mapping[str, float]
    disagreements: tuple[Disagreement, ...]

    @property
    def identical(self) -> bool:
        """Whether all name the same class for every image."""
        return not self.disagreements

    @property
    def passed(self) -> bool:
        """Whether all do but for images between whose two best classes rounding decides."""
        return all(found.rounding for found in self.disagreements)

    def summary(self) -> str:
        """Return a line for each backend beside the reference."""
        lines = []
        images = self.evaluations[0].images
        for name, difference in self.differences.items():
            found = [row for row in self.disagreements if row.backend == name]
            logits = f"logits {difference:.1e} apart at most"
            if not found:
                lines.append(
                    f"{name} and {self.reference} name the same class for all {images} images; "
                    + logits
                )
                continue
            beyond = sum(not row.rounding for row in found)
            verdict = f"{beyond} beyond rounding" if beyond else "all of them rounding"
            lines.append(
                f"{name} and {self.reference} disagree on {len(found)} of {images} images, margins "
                f"up to {found[0].margin:.1e} (rounding: {ROUNDING:.0e}), {verdict}; {logits}"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything but the evaluations themselves as JSON."""
        fields: dict[str, Any] = {
            "reference": self.reference,
            "images": self.evaluations[0].images,
            "identical": self.identical,
            "passed": self.passed,
            "rounding": ROUNDING,
            "differences": dict(self.differences),
            "disagreements": [
                dataclasses.asdict(row) | {"rounding": row.rounding} for row in self.disagreements
            ],
        }
        return json.dumps(fields, indent=1, ensure_ascii=False)

    def save(self, path: str | Path) -> None:
        """Write the evaluations and the agreement to one JSON file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        fields = {
            "evaluations": [json.loads(found.to_json()) for found in self.evaluations],
            "agreement": json.loads(self.to_json()),
        }
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        write(Path(path), (text + "\n").encode())

    def table(self, most: int = MOST) -> Table:
        """Return a row for each image that is named differently, the clearest first (`rich`)."""
        from rich.table import Table

        from zoo.style import STYLE, ending, escape

        shown = self.disagreements[:most]
        title = f"{len(self.disagreements)} disagreements"
        if len(shown) < len(self.disagreements):
            title += f", the {most} of the largest margin"
        view = Table(title=title, **STYLE)
        view.add_column("image", overflow="fold")
        for backend in (self.reference, "other"):
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

    def __str__(self) -> str:
        return self.summary()


def compare(
    weights: Source,
    data: str | Path | Dataset | None = None,
    *,
    backends: Sequence[str] = ("torch", "mindspore"),
    split: str = "test",
    truth: str | Path | None = None,
    labels: str | None = None,
    **options: Any,
) -> Agreement:
    """Evaluate weights on several backends, on the same images, and compare what they say.

    Args:
        weights: as for `evaluate`.
        data: likewise.
        backends: which; the first is the reference.
        split: as for `evaluate`.
        truth: likewise.
        labels: likewise.
        **options: the other arguments of `evaluate`, and fields of the spec.

    Raises:
        ZooError: as `evaluate`; or there are no backends, or one is named twice.
    """
    if not backends or len(set(backends)) < len(backends):
        raise ZooError(f"backends (={list(backends)}) must be at least one, each of them once")
    networks = [Setup.of(weights, backend=name, **options).network() for name in backends]
    dataset = open_data(data, networks[0], truth, labels)
    return agreement([evaluate_network(network, dataset, split) for network in networks])


def agreement(evaluations: Sequence[Evaluation]) -> Agreement:
    """Return how far evaluations of the same images agree with the first of them.

    Raises:
        InputError: they are not of the same images and classes.
    """
    first = evaluations[0]
    names = [found.backend for found in evaluations]
    if len(set(names)) < len(names):
        names = [f"{found.weights}, {found.backend}" for found in evaluations]
    if len(set(names)) < len(names):
        names = [f"{name} ({i})" for i, name in enumerate(names, 1)]
    differences: dict[str, float] = {}
    rows: list[Disagreement] = []
    for name, found in zip(names[1:], evaluations[1:], strict=True):
        if found.names != first.names or found.classes != first.classes:
            raise InputError(
                f"{name} and {names[0]} cannot be compared: they were evaluated on other images "
                "or classes"
            )
        differences[name] = relative_maximum(found.logits, first.logits)
        rows += _disagreements(name, first, found)
    rows.sort(key=lambda row: -row.margin)
    return Agreement(
        evaluations=tuple(evaluations),
        reference=names[0],
        differences=differences,
        disagreements=tuple(rows),
    )


def _disagreements(name: str, first: Evaluation, found: Evaluation) -> list[Disagreement]:
    rows = []
    ours, theirs = first.predictions, found.predictions
    for i in np.flatnonzero(ours != theirs).tolist():
        logits = first.logits[i].astype(np.float64)
        scale = float(np.ptp(logits)) or 1.0
        rows.append(
            Disagreement(
                image=first.names[i],
                label=first.classes[first.labels[i]],
                expected=first.classes[ours[i]],
                backend=name,
                found=first.classes[theirs[i]],
                margin=float(logits[ours[i]] - logits[theirs[i]]) / scale,
                difference=float(np.abs(found.logits[i] - logits).max()) / scale,
            )
        )
    return rows
