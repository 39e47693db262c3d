"""Where results go, what they depend on, and how tables of them look in the terminal."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from zoo.machine import flags, processor, version
from zoo.output import write

RESULTS = Path(__file__).parent / "results"
ISA = ("avx", "amx", "fma", "sse4")

console = Console(width=None if sys.stdout.isatty() else 150)


def machine(libraries: Iterable[str]) -> dict[str, Any]:
    """Return the processor, its instruction sets, the system and the versions of libraries."""
    cpu = processor()
    return {
        "cpu": cpu.get("brand_raw") or platform.processor(),
        "cpu_family_model": f"{cpu.get('family', '?')}/{cpu.get('model', '?')}",
        "isa": [flag for flag in flags() if flag.startswith(ISA)],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in libraries},
    }


def save(path: Path, results: dict[str, Any] | str) -> None:
    """Write results, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = results if isinstance(results, str) else json.dumps(results, indent=1) + "\n"
    write(path, text.encode())
    console.print(f"written to {path}", style="dim")


def grid(title: str, *columns: str) -> Table:
    """Return a table whose columns are numbers where their names end in a unit."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if ", " in column else "left")
    return table


def spread(row: dict[str, Any]) -> str:
    """Return the smallest and the largest ratio of the rounds."""
    return f"{min(row['ratio_by_round']):.2f}–{max(row['ratio_by_round']):.2f}"


def show(title: str, found: dict[str, Any], batches: Iterable[int]) -> None:
    """Print the times, the ratios and the verdicts of one network."""
    columns = [f"batch {batch}, {unit}" for batch in batches for unit in ("ms", "images/s")]
    times = grid(title, "engine", "what it is", *columns)
    for name, engine in found["engines"].items():
        cells = [
            f"{engine[what][str(batch)]:.1f}" if str(batch) in engine[what] else ""
            for batch in batches
            for what in ("milliseconds", "images_per_second")
        ]
        mark = " *" if name in found.get("finalists", ()) else ""
        times.add_row(name + mark, engine["about"], *cells)
    about = "speed of the one over the other: median of the rounds (smallest–largest)"
    ratios = grid(about, "question", "batch", "engine", "over", "ratio", "quiet", "wanted")
    for row in found["comparisons"]:
        wanted = ""
        if "target" in row:
            wanted = "[green]passed[/]" if row["passed"] else "[red]missed[/]"
            wanted = f"≥ {row['target']:g}: {wanted} by {abs(row['distance_percent']):.1f} %"
            wanted += "" if row["quiet_rounds"] else ", but disturbed"
        ratios.add_row(
            *(row.get("about", ""), str(row["batch"]), row["engine"], row["base"]),
            *(f"{row['ratio']:.2f} ({spread(row)})", f"{row['quiet_rounds']} of {row['rounds']}"),
            wanted,
        )
    console.print(times, ratios)
    for what in ("skipped", "failed"):
        for name, reason in found.get(what, {}).items():
            console.print(f"{name} {what}: {reason}", style="yellow", markup=False)
