"""``zoo doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here.")
    ] = None,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Measure what each operator rounds instead.")
    ] = False,
) -> None:
    """Tell what is installed, whether it works and what slows it down; exit status 1 if not."""
    if kernels:
        _kernels(json_file)
        return
    try:
        from rich.console import Console

        from zoo.cli.progress import progress_bar
        from zoo.doctor.diagnose import diagnose
        from zoo.doctor.table import show
        from zoo.output import require_writable
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


def _kernels(json_file: Path | None) -> None:
    """Show what the kernels round; exit status 1 if one is coarser than proofs admit."""
    from rich.console import Console

    from zoo.cli.progress import progress_bar
    from zoo.doctor.kernels import measure_kernels
    from zoo.output import require_writable

    if json_file:
        require_writable(json_file, ".json")
    with progress_bar() as progress:
        found = measure_kernels(progress=progress)
    console = Console(highlight=False)
    console.print(found.table())
    for reason in found.missing.values():
        console.print(reason, markup=False, soft_wrap=True)
    console.print(found.summary(), markup=False, soft_wrap=True)
    if json_file:
        found.save(json_file)
    if found.failures:
        raise typer.Exit(1)
