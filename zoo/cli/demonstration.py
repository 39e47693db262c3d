"""The main job from end to end: one spec, two frameworks, real pictures, and the proof."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import backends
from zoo.cli.progress import progress_bar
from zoo.data import Dataset
from zoo.evaluation.agreement import compare
from zoo.evaluation.evaluation import results
from zoo.live import get_weights
from zoo.models import cost, create
from zoo.output import write
from zoo.proof.photographs import photographs
from zoo.proof.prove import parity
from zoo.reporting.plots import draw_predicted
from zoo.style import STYLE

FRAMEWORKS: tuple[backends.Name, ...] = ("torch", "mindspore")
TRAINED, TAG = "shufflenet_v1_1.0x_g3_cifar", "cifar10"
RUNTIMES = (*FRAMEWORKS, "onnx")


def run(name: str, out: Path) -> bool:
    """Build, compare, report into ``parity-NAME.json`` and ``.png``; return whether all agreed."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    counted = cost(name)
    size = counted.input_shape[-1]
    images = photographs(size)

    console.rule(f"[bold]{name}")
    console.print(
        f"one spec: {counted.params:,} parameters, {counted.macs / 1e6:.2f}M multiply-adds "
        f"at {size}×{size}",
        highlight=False,
    )
    models: dict[str, Any] = {
        framework: create(name, backend=framework, seed=0) for framework in FRAMEWORKS
    }
    first, second = (get_weights(model) for model in models.values())
    same = all(np.array_equal(first[key], second[key]) for key in first)
    console.print(
        f"one seed: {len(first)} arrays in {' and '.join(FRAMEWORKS)}, "
        + ("the same bits" if same else "[red]different bits"),
        highlight=False,
    )
    with progress_bar() as progress:
        report = parity(
            name, backends=FRAMEWORKS, level="training", images=images, progress=progress
        )
    console.print(report.table())
    console.print(_times(models, images, report.seconds))
    stem = out / f"parity-{name}"
    report.save(f"{stem}.json")
    report.plot(f"{stem}.png")
    console.print(f"report {stem}.json, chart {stem}.png", highlight=False)
    console.print(
        f"[bold {'green' if report.passed else 'red'}]{report.summary()}", highlight=False
    )
    return same and report.passed


def show_trained(data: Dataset | None, out: Path) -> bool:
    """Let the weights that come with the package see test images, on all run-times.

    Args:
        data: CIFAR-10, with test images; None where there is none.
        out: the folder for a picture of what they see, ``seen-MODEL.png``.

    Returns:
        Whether all name the same classes; True where there are no images.
    """
    console = Console(highlight=False)
    console.rule(f"[bold]{TRAINED}, weights='{TAG}'")
    if data is None or data.test is None:
        console.print("trained weights: zoo demo --data cifar-10-python.tar.gz shows what they see")
        return True
    with progress_bar() as progress:
        found = compare(TAG, data, model=TRAINED, backends=RUNTIMES, progress=progress)
    console.print(results(found.evaluations))
    console.print(found.summary(), markup=False, soft_wrap=True)
    picture = out / f"seen-{TRAINED}.png"
    write(picture, draw_predicted(found.evaluations[0], data.test))
    console.print(f"what they see: {picture}")
    return found.passed


def _times(models: dict[str, Any], images: np.ndarray, proof: Any) -> Table:
    """Return the time of one forward pass on the photographs, and of the proof, a framework."""
    table = Table(title="time (MindSpore in graph mode)", **STYLE)
    for column in ("framework", "first call", f"forward, batch {len(images)}", "proof"):
        table.add_column(column, justify="left" if column == "framework" else "right")
    for framework, model in models.items():
        engine = backends.load(framework)
        start = time.perf_counter()
        engine.predict(model, images)
        compiled = time.perf_counter() - start
        seconds = []
        for _ in range(15):
            start = time.perf_counter()
            engine.predict(model, images)
            seconds.append(time.perf_counter() - start)
        table.add_row(
            framework,
            f"{compiled:.2f} s",
            f"{statistics.median(seconds) * 1e3:.1f} ms",
            f"{sum(proof[framework].values()):.1f} s",
        )
    return table
