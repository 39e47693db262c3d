"""``zoo source``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import Name, Overrides, parse


def source(
    name: Name,
    backend: Annotated[str, typer.Option(help="torch or mindspore.")] = "torch",
    out: Annotated[
        Path | None, typer.Option(help="The file to write, .py; else the code is printed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    changes: Overrides = None,
) -> None:
    """Write a network as a file of plain PyTorch or MindSpore that needs nothing of ours."""
    from zoo import sources

    overrides = parse(changes)
    if out is None:
        typer.echo(sources.source(name, backend=backend, **overrides), nl=False)
        return
    sources.write_source(name, out, backend=backend, force=force, **overrides)
    typer.echo(f"{out}: {name} in {backend}; run it to check it")
