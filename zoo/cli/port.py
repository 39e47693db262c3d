"""``zoo port``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import Overrides, parse


def port(
    network: Annotated[
        str, typer.Argument(metavar="MODULE:NAME", help="What makes the network; its code is run.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    to: Annotated[str, typer.Option(help="torch or mindspore.")] = "torch",
    weights: Annotated[
        Path | None, typer.Option(help="A file of the network's own code base.")
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width of the image.")] = 224,
    channels: Annotated[int, typer.Option(help="Of the image.")] = 3,
    level: Annotated[str, typer.Option(help="Of the proof against the original.")] = "training",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    changes: Overrides = None,
) -> None:
    """Port a network of other code to a framework: source, weights, proof, in a folder.

    Exit status 1 and the first name where the original and the port diverge; 3 where the work could
    not have shown it. --set gives arguments of what makes the network.
    """
    from zoo import porting
    from zoo.cli.progress import progress_bar

    made = porting.named(network, parse(changes, of_recipe=True))
    with progress_bar() as progress:
        done = porting.port(
            made, out, to=to, example=(2, channels, size, size), weights=weights, level=level,
            force=force, progress=progress,
        )  # fmt: skip
    typer.echo(f"{done.folder}: with its own weights, logits within {done.error:.1e}")
    typer.echo(done.report.summary())
    if not done.report.passed:
        raise typer.Exit(1 if done.report.failures else 3)
