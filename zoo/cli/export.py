"""``zoo export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import GroupConv, Name, Overrides, numbers, parse
from zoo.errors import ExportError


def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="The file to write, .onnx.")],
    weights: Annotated[
        str | None, typer.Option(help="A file of any code base, or published weights.")
    ] = None,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="The form for inference: folded, nothing shuffled.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Height and width of the images.")] = None,
    batch: Annotated[int | None, typer.Option(help="A fixed number of images.")] = None,
    opset: Annotated[int | None, typer.Option(help="Version of ONNX's operators.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A text file with the name of a class on each line.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Of each channel, comma-separated.")] = None,
    std: Annotated[str | None, typer.Option(help="Of each channel, comma-separated.")] = None,
    group_conv: GroupConv = "native",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    changes: Overrides = None,
) -> None:
    """Write a network as an ONNX file that has been run and agrees with the float64 reference."""
    from zoo.exporting import export as write
    from zoo.loading import is_file

    overrides = parse(changes) | ({} if size is None else {"image_size": size})
    report = write(
        name,
        out,
        weights=weights,
        optimize=optimize,
        group_conv=group_conv,
        opset=opset,
        batch=batch,
        labels=None if labels is None else _lines(labels),
        mean=numbers("mean", mean),
        std=numbers("std", std),
        force=force,
        **overrides,
    )
    typer.echo(report)
    if weights is None and not is_file(name):
        typer.echo("note: the weights are initial ones (seed 0); --weights gives trained ones")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: cannot be read: {error}") from None
