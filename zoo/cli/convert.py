"""``zoo convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo import families
from zoo.cli.options import GroupConv, Overrides, parse
from zoo.errors import ZooError


def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A file of any code base, or published weights."),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="The suffix decides the format.")
    ],
    model: Annotated[str | None, typer.Option(help="The network, where SRC does not tell.")] = None,
    from_dialect: Annotated[
        str | None, typer.Option("--from", metavar="DIALECT", help="Whose names SRC has.")
    ] = None,
    to_dialect: Annotated[
        str | None,
        typer.Option("--to", metavar="DIALECT", help="Whose names to write, and conventions."),
    ] = None,
    conventions: Annotated[
        str | None, typer.Option(help="A preset to convert to, by permuting channels.")
    ] = None,
    changes: Overrides = None,
    entry: Annotated[str | None, typer.Option(help="Which set of arrays in SRC.")] = None,
    group_conv: GroupConv = "native",
    num_classes: Annotated[int | None, typer.Option(help="Start a new classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="Adapt the first convolution.")] = None,
    verify: Annotated[
        str, typer.Option(help="Backends that run the network before and after, or none.")
    ] = "numpy,numpy",
    seed: Annotated[int, typer.Option(help="Of a new classifier.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing DST.")] = False,
) -> None:
    """Convert weights between formats, code bases and conventions, and verify the result."""
    from zoo import conversion
    from zoo.loading import opened

    expected = None
    if model is not None or changes:
        if model is None:
            raise ZooError("--set changes the spec of --model, which is missing")
        expected = families.spec(opened(model), **parse(changes))
    done = conversion.convert(
        source,
        destination,
        model=expected,
        from_dialect=from_dialect,
        to_dialect=to_dialect,
        conventions=conventions,
        entry=entry,
        group_conv=group_conv,
        num_classes=num_classes,
        in_channels=in_channels,
        seed=seed,
        verify=None if verify == "none" else [part.strip() for part in verify.split(",")],
        force=force,
    )
    from zoo.text import visible

    typer.echo(visible(done.summary()))
