"""What a run's best checkpoint makes of the data, as a page shows it."""

from __future__ import annotations

from typing import Any

from zoo.evaluation.charts import draw_confusion
from zoo.evaluation.evaluation import Evaluation
from zoo.evaluation.runner import evaluate_network, open_data
from zoo.evaluation.setup import Setup
from zoo.recipes import Recipe
from zoo.reporting.plots import draw_augmented, draw_predicted, draw_raw, embedded

FEW = 25
"""Up to so many classes their tables are shown without a click."""
BAR = 160
"""Pixels of the bar of a class all of whose images are right."""


def evaluate_run(setup: Setup, source: Any, recipe: Recipe, train_images: int) -> dict[str, Any]:
    """Return what the best checkpoint makes of the data, and pictures of these."""
    network = setup.network()
    dataset = open_data(source, network)
    evaluations: list[Evaluation] = []
    samples: list[dict[str, str]] = []
    for split, part, most in (
        ("test", dataset.test, None),
        ("train", dataset.train, train_images),
    ):
        if part is None or not len(part):
            continue
        found = evaluate_network(network, dataset, split, most=most)
        evaluations.append(found)
        if len(evaluations) == 1:
            text = "Right ones, and the wrong ones that the network was surest of."
            picture = embedded(draw_predicted(found, part))
            samples.append({"title": "Predicted", "text": text, "picture": picture})
    shown = dataset.train or dataset.test
    if shown is not None:
        samples.append({"title": "Raw", "text": dataset.name, "picture": embedded(draw_raw(shown))})
        if dataset.train is not None:
            text = "What training sees of an image in its first epochs, before it is normalized."
            picture = embedded(draw_augmented(dataset.train, recipe))
            samples.append({"title": "Augmented", "text": text, "picture": picture})
    rows = [
        [
            _title(found),
            f"{found.loss:.4f}",
            f"{found.top1:.2f} %",
            f"{found.top5:.2f} %",
            f"{found.images_per_second:.0f}",
        ]
        for found in evaluations
    ]
    columns = ["images", "loss", "top-1", "top-5", "images a second, forward"]
    evaluated = f"{network.name}, by {network.backend}; images prepared by {network.pipeline}"
    return {
        "evaluated": evaluated,
        "measures": {"columns": columns, "rows": rows},
        "evaluations": [_classes(found) for found in evaluations],
        "samples": samples,
    }


def _title(found: Evaluation) -> str:
    return f"{found.images:,} {found.split} images"


def _classes(found: Evaluation) -> dict[str, Any]:
    """Return what the page shows of an evaluation's classes."""
    rows = [
        {
            "name": name,
            "images": count,
            "right": f"{share:.1f} %" if count else "–",
            "width": round(BAR * share / 100) if count else 0,
            "other": other,
        }
        for name, count, share, other in found.by_class()
    ]
    return {
        "name": _title(found),
        "few": len(rows) <= FEW,
        "classes": rows,
        "confusion": embedded(draw_confusion(found.confusion, found.classes)),
    }
