"""Parity of every network at every level, native and split: the errors behind the tolerances.

    python benchmarks/parity.py                       # the whole catalogue, half an hour
    python benchmarks/parity.py --pattern '*cifar'    # some of it; the others' results are kept

Writes ``benchmarks/results/parity.json`` and prints the table of docs/parity.md. The split form is
proven where it is another one: where a network has group convolutions. SE-ShuffleNet V2-164 (133
million parameters) is proven on small images and up to its gradients, see LARGE.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

import zoo
from zoo.passes import split_group_conv

RESULTS = Path(__file__).parent / "results" / "parity.json"
FRAMEWORKS = ("torch", "mindspore")
LARGE = {"se_shufflenet_v2_164": {"level": "gradients", "image_size": 64}}
"""What a machine with 16 GiB can do with it."""


def main(
    pattern: Annotated[str, typer.Option(help="Shell-style pattern of names.")] = "*",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS,
) -> None:
    """Run every proof and write down its errors."""
    rows: list[dict[str, Any]] = []
    names = zoo.list_models(pattern)
    jobs = [
        (name, form)
        for name in names
        for form in ("native", "split")
        if form == "native" or split_group_conv(zoo.spec(name).graph)[0] != zoo.spec(name).graph
    ]
    made_with: dict[str, Any] = {}
    for name, form in track(jobs, description="proofs"):
        options: dict[str, Any] = {"level": "training"} | LARGE.get(name, {})
        report = zoo.parity(name, backends=FRAMEWORKS, group_conv=form, **options)
        made_with = dict(report.made_with)
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
    for key in ("images", "group_conv"):
        made_with.pop(key, None)
    if out.exists():
        rows += [r for r in json.loads(out.read_text())["rows"] if r["model"] not in names]
    rows.sort(key=lambda row: (row["model"], row["group_conv"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"made_with": made_with, "rows": rows}, indent=1) + "\n")
    typer.echo(table(rows))
    if not all(row["passed"] for row in rows):
        raise typer.Exit(1)


def table(rows: list[dict[str, Any]]) -> str:
    """Return, for each measure, the largest error of each framework, as Markdown."""
    lines = [
        "| level | measure | torch | mindspore | largest share of what is admitted |",
        "|---|---|---|---|---|",
    ]
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


if __name__ == "__main__":
    typer.run(main)
