"""``zoo doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here.")
    ] = None,
) -> None:
    """Tell what is installed, whether it works and what slows it down; exit status 1 if not."""
    try:
        from rich.console import Console

        from zoo.doctor.diagnose import diagnose
        from zoo.doctor.table import show
        from zoo.output import require_writable
        from zoo.table import progress_bar
    except ImportError as error:  # NumPy, say: without it there is nothing to tell
        typer.echo(f"broken: {error}; pip install parity-zoo", err=True)
        raise typer.Exit(1) from None
    if json_file:
        require_writable(json_file, ".json")
    with progress_bar() as progress:
        found = diagnose(progress)
    show(found, Console(highlight=False))
    if json_file:
        found.save(json_file)
    if found.broken:
        raise typer.Exit(1)
