"""``zoo parity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo import families
from zoo.cli.options import GroupConv, Name, Overrides, parse

QUICK = 64
"""Pixels of ``zoo parity --quick``: two by two are left in the last stage of a network for 224."""


def parity(
    name: Name,
    backends: Annotated[str, typer.Option(help="Comma-separated.")] = "torch,mindspore",
    level: Annotated[
        str,
        typer.Option(help="structure, forward, batch_statistics, gradients or training."),
    ] = "forward",
    group_conv: GroupConv = "native",
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Prove the form for inference (forward level).")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="A file, or published weights: what is proven, instead of drawn ones."),
    ] = None,
    variants: Annotated[
        str, typer.Option(help="Optimizers and options of the level training, by comma.")
    ] = "sgd",
    photographs: Annotated[
        bool, typer.Option("--photographs", help="On real photographs instead of drawn images.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Height and width of the images.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="On images of at most 64 pixels: under a minute.")
    ] = False,
    mutants: Annotated[
        bool,
        typer.Option("--mutants", help="Show that it can fail: give it mistakes and count."),
    ] = False,
    seed: int = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Draw the errors here.")] = None,
    changes: Overrides = None,
) -> None:
    """Prove that backends compute the same.

    Exit status 1 and the first name where they do not; 3 where the weights and images could not
    have shown it, or where one of the mistakes of --mutants went unseen.
    """
    from rich.console import Console

    from zoo.cli.progress import progress_bar
    from zoo.loading import opened
    from zoo.output import require_writable
    from zoo.proof.photographs import photographs as load
    from zoo.proof.prove import parity as prove

    for file, suffix in ((json_file, ".json"), (png_file, ".png")):
        if file:
            require_writable(file, suffix)
    overrides = parse(changes) | ({"image_size": size} if size else {})
    network = opened(name)
    if quick and size is None:
        overrides["image_size"] = min(QUICK, families.spec(network, **overrides).image_size)
    images = load(families.spec(network, **overrides).image_size) if photographs else None
    engines = [part.strip() for part in backends.split(",")]
    with progress_bar() as progress:
        report = prove(
            network,
            backends=engines,
            level=level,
            group_conv=group_conv,
            optimize=optimize,
            images=images,
            weights=weights,
            variants=[part.strip() for part in variants.split(",")],
            seed=seed,
            progress=progress,
            **overrides,
        )
    Console().print(report.table())
    typer.echo(report.summary())
    if json_file:
        report.save(json_file)
    if png_file:
        report.plot(png_file)
    unseen = False
    if mutants:
        from zoo.proof.mutants.doubt import doubt
        from zoo.proof.mutants.score import score

        with progress_bar() as progress:
            verdicts = doubt(
                network, backends=engines, level=level, seed=seed, images=images,
                progress=progress, **overrides,
            )  # fmt: skip
        typer.echo(score(verdicts))
        unseen = any(verdict.status in ("survived", "raised") for verdict in verdicts)
    if not report.passed or unseen:
        raise typer.Exit(1 if report.failures else 3)
