"""``zoo predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import (
    BatchSize,
    GroupConv,
    Model,
    Optimize,
    Overrides,
    Preparation,
    Preprocessing,
    SkipCorrupt,
    Weights,
    Workers,
    parse,
)


def predict(
    weights: Weights,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Images, folders of them, or - for paths on standard input."
        ),
    ],
    backend: Annotated[
        str | None, typer.Option(help="torch, mindspore, onnx, openvino or numpy.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many classes to tell of each image.")] = 5,
    labels: Annotated[
        Path | None, typer.Option(help="A text file with the name of a class on each line.")
    ] = None,
    model: Model = None,
    recipe: Preparation = None,
    preprocessing: Preprocessing = None,
    batch_size: BatchSize = 32,
    workers: Workers = 2,
    group_conv: GroupConv = "native",
    optimize: Optimize = True,
    skip_corrupt: SkipCorrupt = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write JSON here, or - instead of the table.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Draw the images with their classes here, as PNG.")
    ] = None,
    changes: Overrides = None,
) -> None:
    """Tell what trained weights see in images."""
    from zoo.output import require_writable

    to_stdout = json_file is not None and str(json_file) == "-"
    if json_file is not None and not to_stdout:
        require_writable(json_file, ".json")
    if grid is not None:
        require_writable(grid, ".png")

    from rich.console import Console

    from zoo.cli.progress import progress_bar
    from zoo.evaluation.predictions import predict as see

    with progress_bar() as progress:
        found = see(
            weights,
            inputs,
            model=model,
            backend=backend,
            top=top,
            labels=labels,
            recipe=recipe,
            transforms=preprocessing,
            batch_size=batch_size,
            workers=workers,
            group_conv=group_conv,
            optimize=optimize,
            skip_corrupt=skip_corrupt,
            progress=progress,
            **parse(changes),
        )
    # Files first: a reader of the table (head) may close the pipe.
    if json_file is not None and not to_stdout:
        found.save(json_file)
    if grid is not None:
        found.plot(grid)
    for message in found.skipped:
        typer.echo(f"skipped: {message}", err=True)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    if to_stdout:
        typer.echo(found.to_json())
    else:
        console = Console(highlight=False)
        console.print(found.table())
        console.print(f"images: {found.pipeline}", style="dim", markup=False, soft_wrap=True)
