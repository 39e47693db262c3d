"""``zoo bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import Name, Overrides, parse, split
from zoo.errors import ZooError


def bench(
    name: Name,
    backends: Annotated[
        str | None, typer.Option(help="Comma-separated; by default those that are installed.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Images a call, comma-separated.")] = "1,32",
    image_size: Annotated[int | None, typer.Option(help="Height and width of the images.")] = None,
    optimize: Annotated[
        bool | None,
        typer.Option(
            "--optimize/--no-optimize", help="Only the form for inference, or only the other."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Processors that each engine keeps to; by default all.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Of measuring, for each engine and batch size.")
    ] = 2.0,
    weights: Annotated[
        str | None, typer.Option(help="A file of any code base, or published weights.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Draw the measurements here, as PNG.")] = None,
    changes: Overrides = None,
) -> None:
    """Measure inference: latency, throughput, memory, first call and error of each engine.

    Engines run in processes of their own and take turns. Exit status 1 where one of them failed.
    """
    from zoo.output import require_writable

    for path, suffix in ((json_file, ".json"), (chart, ".png")):
        if path is not None:
            require_writable(path, suffix)
    batches = [_whole(part) for part in split(batch)]
    overrides = parse(changes) | ({} if image_size is None else {"image_size": image_size})

    from rich.console import Console

    from zoo.bench.report import MEANINGS
    from zoo.bench.run import benchmark
    from zoo.cli.progress import progress_bar

    with progress_bar() as progress:
        report = benchmark(
            name,
            backends=None if backends is None else split(backends),
            batches=batches,
            optimize=optimize,
            threads=threads,
            seconds=seconds,
            weights=weights,
            progress=progress,
            **overrides,
        )
    console = Console(highlight=False)
    console.print(report.table())
    for what, meaning in MEANINGS.items():
        console.print(f"{what}: {meaning}", style="dim")
    console.print(report.versions(), style="dim")
    console.print(report.summary(), markup=False, soft_wrap=True)
    if json_file:
        report.save(json_file)
    if chart:
        report.plot(chart)
    if report.failures:
        raise typer.Exit(1)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ZooError(f"--batch: {text!r} must be a whole number of at least 1") from None
