"""What a run's folder tells, as a page shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.machine import version
from zoo.reporting.plots import draw_curves, embedded
from zoo.training.run import Run


def about_run(run: Run) -> dict[str, Any]:
    """Return what the run's folder tells."""
    epochs, steps, info = run.epochs, run.steps, run.info
    figures: list[tuple[str, str]] = [("epochs", f"{len(epochs)} of {run.recipe.epochs}")]
    judged = [row for row in epochs if "val_top1" in row]
    if judged:
        best = max(judged, key=lambda row: row["val_top1"])
        figures.append((f"best top-1, epoch {best['epoch']:.0f}", f"{best['val_top1']:.2f} %"))
        figures.append((f"top-5, epoch {best['epoch']:.0f}", f"{best['val_top5']:.2f} %"))
    if epochs:
        figures.append(("training", _time(sum(row["seconds"] for row in epochs))))
        speeds = [row["images_per_second"] for row in epochs]
        figures.append(("images a second", f"{np.median(speeds):.0f}"))
    columns = list(epochs[-1]) if epochs else []
    about = json.loads(info.to_json())
    machine = _flat(about.pop("machine")) + _flat(about.pop("versions"))
    classes = about.pop("classes")
    about["classes"] = f"{len(classes)}: {', '.join(classes[:20])}{', …' if classes[20:] else ''}"
    curves = draw_curves(epochs, steps, format="svg") if epochs or steps else None
    return {
        "title": f"{run.recipe.called} on {info.data}",
        "lead": f"{run.path}, {info.backend}, started {info.started}",
        "figures": figures,
        "notes": [] if run.finished else ["The run has not finished."],
        "curves": embedded(curves, "svg+xml") if curves else None,
        "epochs": {
            "columns": columns,
            "rows": [[_number(row.get(key)) for key in columns] for row in epochs],
        },
        "evaluations": [],
        "samples": [],
        "checkpoints": _checkpoints(run),
        "recipe": _flat(run.recipe.to_dict()),
        "data": _flat(about),
        "machine": machine,
        "made": f"Made by parity-zoo {version('parity-zoo')}.",
    }


def _checkpoints(run: Run) -> dict[str, Any]:
    judged = {row["epoch"]: row for row in run.epochs}
    rows = []
    for saved in run.checkpoints:
        row = judged.get(saved.epoch, {}) if not saved.batch else {}
        kind = [
            name for name, one in (("best", run.best), ("last", run.last)) if one.path == saved.path
        ]
        rows.append(
            [
                saved.path.name,
                str(saved.epoch),
                str(saved.step),
                _number(row.get("val_loss")),
                _number(row.get("val_top1")),
                f"{saved.model.stat().st_size / 2**20:.2f} MiB" if saved.model.is_file() else "–",
                ", ".join(kind),
            ]
        )
    columns = ["checkpoint", "epoch", "step", "val_loss", "val_top1", "weights", ""]
    return {"columns": columns, "rows": rows}


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return a value a row, with the names of the parts it is in."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{before}{key}.")
        elif isinstance(value, Sequence) and any(isinstance(one, Mapping) for one in value):
            for i, one in enumerate(value, 1):
                name = one.get("name", "")
                fields = [f"{k} {v}" for k, v in one.items() if k != "name"]
                rows.append((f"{before}{key}.{i}", " ".join([str(name), ", ".join(fields)])))
        else:
            rows.append((before + key, "–" if value is None else str(value)))
    return rows


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–" if value is None else str(value)
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
