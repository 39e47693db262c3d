"""A hundred SIGKILLs of every writer: what breaks, and what the next run leaves lying about.

    python benchmarks/kills.py        # minutes

Runs ``tests/killed_writers.py`` and writes ``benchmarks/results/kills.json``, of each writer:
kills, hits (something unfinished was left), broken destinations, what is left after the next run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "kills.json"


def main(kills: int = 100, out: Annotated[Path, typer.Option()] = RESULTS) -> None:
    """Kill every writer so often."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "killed_writers.py", folder, str(kills)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    known = json.loads(out.read_text()) if out.exists() else {}
    found = known | json.loads(done.stdout.splitlines()[-1])
    out.write_text(json.dumps(found, indent=1) + "\n")
    if any(row.get("broken") or row.get("left") for row in found.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
