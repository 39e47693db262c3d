"""``zoo port``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import Example, Foreign, Overrides, TheirWeights, parse, shape_of


def port(
    source: Foreign,
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    to: Annotated[str, typer.Option(help="torch or mindspore.")] = "torch",
    weights: TheirWeights = None,
    example: Example = None,
    level: Annotated[str, typer.Option(help="Of the proof against the original.")] = "training",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    changes: Overrides = None,
) -> None:
    """Port a network of other code to a framework: source, weights, proof, in a folder.

    A module is at the table itself; of a file the port is proven against the float64 reference.
    Exit status 1 and the first name where they diverge; 3 where the work could
    not have shown it. --set gives arguments of what makes the network.
    """
    from zoo import adopting, porting
    from zoo.cli.progress import progress_bar

    options = parse(changes, of_recipe=True)
    net = adopting.opened(source, options, example=example and shape_of(example))
    with progress_bar() as progress:
        done = porting.port(
            net, out, to=to, weights=weights, level=level, force=force, progress=progress
        )
    typer.echo(f"{done.folder}: {done.summary()}")
    if not done.passed:
        raise typer.Exit(1 if done.report.failures or done.changed else 3)
