"""``zoo report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write, .html; by default RUN/report.html.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Where the images are; by default where they were.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="What evaluates; by default the run's own.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images a batch.")] = 128,
    workers: Annotated[int, typer.Option(help="Threads that prepare images.")] = 2,
    train_images: Annotated[
        int, typer.Option(help="Evaluate so many of the training images.")
    ] = 10_000,
) -> None:
    """Put a run on one page: recipe, curves, evaluation, samples, checkpoints."""
    from zoo.cli.progress import progress_bar
    from zoo.reporting.page import report as write

    with progress_bar() as progress:
        path = write(
            run,
            out,
            data=data,
            backend=backend,
            batch_size=batch_size,
            workers=workers,
            train_images=train_images,
            progress=progress,
        )
    typer.echo(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
