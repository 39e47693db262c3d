"""Parity of every network at every level, native and split: the errors behind the tolerances.

    python benchmarks/parity.py                       # the whole catalogue, 15 to 25 minutes
    python benchmarks/parity.py --pattern '*cifar'    # some of it

Writes ``benchmarks/results/parity.json`` and prints the table of docs/parity.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

import zoo

RESULTS = Path(__file__).parent / "results" / "parity.json"
FRAMEWORKS = ("torch", "mindspore")


def main(
    pattern: Annotated[str, typer.Option(help="Shell-style pattern of names.")] = "*",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS,
) -> None:
    """Run every proof and write down its errors."""
    rows: list[dict[str, Any]] = []
    jobs = [(name, form) for name in zoo.list_models(pattern) for form in ("native", "split")]
    made_with: dict[str, Any] = {}
    for name, form in track(jobs, description="proofs"):
        report = zoo.parity(name, backends=FRAMEWORKS, level="training", group_conv=form)
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
