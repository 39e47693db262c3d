"""The tables of docs/parity.md, of what was measured.

    python benchmarks/parity_page.py          # writes them
    python benchmarks/parity_page.py --check  # fails if they are not what it would write

What stands between the markers is replaced: parity (``parity.py``, other seeds from
``parity_seeds.json``), mutants (``mutants.py``), kernels (``zoo doctor --kernels``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pages import DOCS, Check, filled, settle
from parity import FRAMEWORKS, RUNTIMES
from recording import RESULTS

from zoo.proof.mutants.run import Verdict
from zoo.proof.mutants.score import summary

Row = dict[str, Any]


def main(
    check: Check = False,
    page: Annotated[Path, typer.Option(help="With the markers.")] = DOCS / "parity.md",
) -> None:
    """Write the tables, or tell whether they are up to date."""
    settle(page, filled(page, {name: make() for name, make in SECTIONS.items()}), check)


def parity() -> str:
    """Return, for each measure, the largest error of each framework, and what is short of proof."""
    rows = json.loads((RESULTS / "parity.json").read_text())["rows"]
    levels = [r for r in rows if r["backend"] in FRAMEWORKS and r["group_conv"] != "optimized"]
    networks = {r["model"] for r in levels}
    lines = [
        "| level | measure | torch | mindspore | largest share of what is admitted "
        "| largest mistake that could hide |",
        "|---|---|---|---|---|---|",
    ]
    for level, measure in dict.fromkeys((r["level"], r["measure"]) for r in levels):
        found = [r for r in levels if (r["level"], r["measure"]) == (level, measure)]
        cells = [_largest(r["error"] for r in found if r["backend"] == b) for b in FRAMEWORKS]
        shares = [r["error"] / r["admitted"] for r in found if r["admitted"]]
        share = f"{max(shares):.0%}" if shares else "–"
        lines.append(
            f"| {level} | {measure} | {' | '.join(cells)} | {share} "
            f"| {_largest(r['power'] for r in found)} |"
        )
    every = [r for r in rows if r["backend"] != "reference"]
    slope = _largest(r["error"] for r in rows if r["backend"] == "reference")
    lines += [
        "",
        f"{len(networks)} networks, native and, where there are group convolutions, split. "
        f"{_verdict(every)} The reference's own gradients are at most {slope} off the slope of "
        "NumPy's loss.",
        "",
        "Evaluation mode on all backends, every node:",
        "",
        f"| form | {' | '.join((*FRAMEWORKS, *RUNTIMES))} |",
        "|---" * (len(FRAMEWORKS) + len(RUNTIMES) + 1) + "|",
    ]
    for form in ("native", "split", "optimized"):
        about = ("forward", "every node", form)
        of_form = [r for r in rows if (r["level"], r["measure"], r["group_conv"]) == about]
        cells = [
            _largest(r["error"] for r in of_form if r["backend"] == b)
            for b in (*FRAMEWORKS, *RUNTIMES)
        ]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join(lines) + seeds()


def seeds() -> str:
    """Return what other seeds showed."""
    rows = json.loads((RESULTS / "parity_seeds.json").read_text())["rows"]
    count = len({(row["model"], row["size"], row["seed"]) for row in rows})
    networks = len({row["model"] for row in rows})
    return (
        f"\n\nOther seeds: {count} proofs of {networks} networks, every level, both frameworks. "
        f"{_verdict(rows)}"
    )


def mutants() -> str:
    """Return the mutation score."""
    rows = json.loads((RESULTS / "mutants.json").read_text())["verdicts"]
    return summary([Verdict(**row) for row in rows])


def kernels() -> str:
    """Return the largest error of each operator on each backend."""
    found = json.loads((RESULTS / "kernels.json").read_text())
    names = dict.fromkeys(k["backend"] for k in found["kernels"])
    versions = {k["backend"]: k["version"] for k in found["kernels"]}
    errors = {(k["operator"], k["backend"]): k["error"] for k in found["kernels"]}
    lines = [
        f"| operator | {' | '.join(f'{n} {versions[n]}' for n in names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for operator in dict.fromkeys(k["operator"] for k in found["kernels"]):
        cells = [_largest([errors.get((operator, name), 0.0)]) for name in names]
        lines.append(f"| {operator} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Measured on {found['processor']}."])


def _largest(values: Any) -> str:
    found = list(values)
    if not found:
        return "–"
    largest = max(found)
    return f"{largest:.1e}" if largest else "0"


def _verdict(rows: list[Row]) -> str:
    short = [r for r in rows if r["status"] != "passed"]
    if not short:
        return f"All {len(rows):,} findings pass."
    named = "; ".join(
        dict.fromkeys(
            f"`{r['model']}` ({r['backend']}, seed {r['seed']}: {r['measure']}, {r['status']})"
            for r in short
        )
    )
    return f"{len(rows) - len(short):,} of {len(rows):,} findings pass. Not: {named}."


SECTIONS: dict[str, Callable[[], str]] = {"parity": parity, "mutants": mutants, "kernels": kernels}


if __name__ == "__main__":
    typer.run(main)
