"""``zoo train`` and ``zoo recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from zoo.cli.options import SkipCorrupt, parse
from zoo.errors import ZooError


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Print this recipe as JSON; by default list all.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field; repeatable."),
    ] = None,
) -> None:
    """List the recipes, or print one, which --set changes and `zoo train` takes as a file."""
    from zoo.recipes import RECIPES, recipe

    if name is not None:
        typer.echo(recipe(name).replace(**parse(changes, of_recipe=True)).to_json())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("recipe", "network", "optimizer", "batch", "epochs", "source")
    for key, entry in sorted(RECIPES.items()):
        table.add_row(
            key,
            entry.called,
            f"{entry.optimizer.name} {entry.optimizer.lr:g}, {entry.schedule.name}",
            str(entry.batch_size),
            str(entry.epochs),
            entry.source,
        )
    Console().print(table)


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A name that `zoo recipes` shows, or a JSON file of one.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder or archive: CIFAR, Tiny ImageNet, class folders.")
    ] = None,
    backend: Annotated[str | None, typer.Option(help="torch or mindspore.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; by default runs/RECIPE-BACKEND.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run; RECIPE is not given.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="A file to start from.")] = None,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Fit these to the recipe's number of classes.")
    ] = False,
    pipeline: Annotated[
        str, typer.Option(help="numpy (the same images everywhere) or native.")
    ] = "numpy",
    workers: Annotated[int | None, typer.Option(help="That prepare images.")] = None,
    compiled: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Use torch.compile.")
    ] = None,
    labels: Annotated[str, typer.Option(help="Of CIFAR-100: fine or coarse.")] = "fine",
    skip_corrupt: SkipCorrupt = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a field (optimizer.lr=0.1); repeatable."
        ),
    ] = None,
) -> None:
    """Train a network by a recipe; Ctrl-C saves, and --resume goes on.

    Under torchrun or msrun the processes share each batch.
    """
    from zoo import training
    from zoo.cli.progress import progress_bar
    from zoo.recipes import open_recipe
    from zoo.training.api import with_network

    if (recipe is None) == (resume is None):
        raise ZooError("give a RECIPE to start with, or --resume RUN to go on")
    if resume is not None and changes:
        raise ZooError("--set changes a recipe: a run that goes on keeps its own")
    with progress_bar() as progress:
        try:
            if resume is not None:
                run = training.resume(
                    resume, data=data, backend=backend, workers=workers, compiled=compiled,
                    progress=progress,
                )  # fmt: skip
            else:
                assert recipe is not None
                if data is None:
                    raise ZooError("--data is missing: where are the images?")
                backend = backend or "torch"
                out = (
                    out
                    or Path("runs") / f"{Path(recipe).stem if '/' in recipe else recipe}-{backend}"
                )
                fields, start = with_network(parse(changes, of_recipe=True), weights)
                run = training.train(
                    open_recipe(recipe).replace(**fields), data, out,
                    backend=backend, weights=start, adapt=adapt, pipeline=cast(Any, pipeline),
                    workers=2 if workers is None else workers, compiled=bool(compiled),
                    labels=labels, skip_corrupt=skip_corrupt, progress=progress,
                )  # fmt: skip
        except KeyboardInterrupt:
            where = resume or out
            typer.echo(f"stopped and saved; zoo train --resume {where} goes on", err=True)
            raise typer.Exit(130) from None
    if run.epochs and run.process == 0:
        row = run.epochs[-1]
        told = "".join(
            f", {key} {row[key]:.2f}" for key in ("val_loss", "val_top1", "val_top5") if key in row
        )
        typer.echo(f"{run.path}: {len(run.epochs)} epochs, loss {row['loss']:.3f}{told}")
        typer.echo(f"best: {run.best.model}")
