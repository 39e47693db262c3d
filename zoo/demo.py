"""The main job from end to end: one spec, two frameworks, real photographs, and the proof."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import backends
from zoo.models import cost, create, get_weights
from zoo.proof.photographs import photographs
from zoo.proof.prove import parity
from zoo.proof.table import STYLE
from zoo.table import progress_bar

FRAMEWORKS = ("torch", "mindspore")


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
    models = {framework: create(name, backend=framework, seed=0) for framework in FRAMEWORKS}
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


def _times(models: dict[str, Any], images: np.ndarray, proof: Any) -> Table:
    """Return the time of one forward pass on the photographs, and of the proof, a framework."""
    table = Table(title="time (MindSpore in graph mode)", **STYLE)
    for column in ("framework", "first call", f"forward, batch {len(images)}", "proof"):
        table.add_column(column, justify="left" if column == "framework" else "right")
    for framework, model in models.items():
        engine = backends.load(framework)
        if hasattr(model, "eval"):  # a new Cell of MindSpore is in evaluation mode
            model.eval()
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
