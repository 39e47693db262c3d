"""Parity of every network at every level, native and split: the errors behind the tolerances.

    python benchmarks/parity.py                       # the whole catalogue, half an hour
    python benchmarks/parity.py --pattern '*cifar'    # some of it; the others' results are kept

Writes ``benchmarks/results/parity.json`` and prints the table of docs/parity.md. The split form is
proven where it is another one: where a network has group convolutions; the form for inference up to
the forward level, on the run-times too. SE-ShuffleNet V2-164 (133 million parameters) is proven on
small images, see LARGE; that takes 14 GB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

import zoo
from zoo.passes import split_group_conv

RESULTS = Path(__file__).parent / "results" / "parity.json"
FRAMEWORKS = ("torch", "mindspore")
RUNTIMES = ("onnx", "openvino")
LARGE = {"se_shufflenet_v2_164": {"image_size": 64, "images": 16}}
"""What a machine with 16 GiB can do. A batch norm of the last stage sees one value an image there:
of eight, it makes so much of rounding that one float32 run may differ from four others."""


def main(
    pattern: Annotated[str, typer.Option(help="Shell-style pattern of names.")] = "*",
    what: Annotated[
        str, typer.Option(help="levels (of the frameworks), inference, or both, by comma.")
    ] = "levels,inference",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS,
) -> None:
    """Run every proof and write down its errors."""
    jobs = [
        (name, form, options)
        for name in zoo.list_models(pattern)
        for form, options in proofs(name, what.split(","))
    ]
    made_with: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name, form, options in track(jobs, description="proofs"):
        large = dict(LARGE.get(name, {}))
        if count := large.pop("images", None):
            shape = (count, 3, large["image_size"], large["image_size"])
            large["images"] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        report = zoo.parity(name, **options, **large)
        made_with |= report.made_with
        rows += [
            {
                "model": name,
                "group_conv": form,
                "backend": f.backend.split()[0],
                "level": f.level,
                "measure": f.measure,
                "error": f.error,
                "admitted": f.tolerance,
                "floor": f.floor,
                "passed": f.passed,
                "diverges_at": f.diverges_at,
            }
            for f in report.findings
        ]
    for field in ("images", "group_conv", "levels", "optimize"):
        made_with.pop(field, None)
    if out.exists():
        before = json.loads(out.read_text())
        made_with = before["made_with"] | made_with
        new = {key(row) for row in rows}
        rows += [row for row in before["rows"] if key(row) not in new]
    rows.sort(key=lambda row: (row["model"], row["group_conv"], row["backend"] in RUNTIMES))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"made_with": made_with, "rows": rows}, indent=1) + "\n")
    typer.echo(f"{table(rows)}\n\n{inference(rows)}")
    if not all(row["passed"] for row in rows):
        raise typer.Exit(1)


def key(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what a row is about; ``group_conv`` is ``"optimized"`` for the form for inference."""
    return row["model"], row["group_conv"], row["backend"]


def proofs(name: str, what: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (form, options) of each proof of a network."""
    graph = zoo.spec(name).graph
    forms = ["native", "split"] if split_group_conv(graph)[0] != graph else ["native"]
    for form in forms:
        if "levels" in what:
            yield form, {"backends": FRAMEWORKS, "group_conv": form, "level": "training"}
        if "inference" in what:
            yield form, {"backends": RUNTIMES, "group_conv": form}
    if "inference" in what:
        yield "optimized", {"backends": (*FRAMEWORKS, *RUNTIMES), "optimize": True}


def table(rows: list[dict[str, Any]]) -> str:
    """Return, for each measure, the largest error of each framework, as Markdown."""
    lines = [
        "| level | measure | torch | mindspore | largest share of what is admitted |",
        "|---|---|---|---|---|",
    ]
    rows = [r for r in rows if r["backend"] in FRAMEWORKS and r["group_conv"] != "optimized"]
    for level, measure in dict.fromkeys((r["level"], r["measure"]) for r in rows):
        found = [r for r in rows if (r["level"], r["measure"]) == (level, measure)]
        worst = {
            framework: max(r["error"] for r in found if r["backend"] == framework)
            for framework in FRAMEWORKS
        }
        shares = [r["error"] / r["admitted"] for r in found if r["admitted"]]
        share = f"{max(shares):.0%}" if shares else "–"
        numbers = [f"{worst[f]:.1e}" if worst[f] else "0" for f in FRAMEWORKS]
        lines.append(f"| {level} | {measure} | {' | '.join(numbers)} | {share} |")
    return "\n".join(lines)


def inference(rows: list[dict[str, Any]]) -> str:
    """Return the largest error of any node in evaluation mode, by backend and form, as Markdown."""
    backends = (*FRAMEWORKS, *RUNTIMES)
    lines = [f"| forward | {' | '.join(backends)} |", "|---" * (len(backends) + 1) + "|"]
    for form in ("native", "split", "optimized"):
        found = [r for r in rows if (r["level"], r["group_conv"]) == ("forward", form)]
        worst = [max((r["error"] for r in found if r["backend"] == b), default=0) for b in backends]
        lines.append(f"| {form} | {' | '.join(f'{error:.1e}' for error in worst)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
