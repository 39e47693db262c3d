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


def main(
    writers: Annotated[list[str] | None, typer.Argument()] = None,
    kills: int = 100,
    out: Annotated[Path, typer.Option()] = RESULTS,
) -> None:
    """Kill every writer so often, or some of them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [
                sys.executable,
                ROOT / "tests" / "killed_writers.py",
                folder,
                str(kills),
                *(writers or []),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            known = json.loads(out.read_text()) if out.exists() else {}
            out.write_text(json.dumps(known | json.loads(line), indent=1) + "\n")
    raise typer.Exit(child.returncode)


if __name__ == "__main__":
    typer.run(main)
