"""``zoo list``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo import families
from zoo.errors import ZooError, unknown
from zoo.text import visible


def list_(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern.")] = "*",
    weights: Annotated[
        bool, typer.Option("--weights", help="List the published weights instead.")
    ] = False,
    family: Annotated[
        str | None, typer.Option(help="Of these families alone, comma-separated.")
    ] = None,
    params: Annotated[
        str | None, typer.Option(metavar="BOUNDS", help="Parameters: '<5M', '>=1M,<2.5M'.")
    ] = None,
    macs: Annotated[
        str | None, typer.Option(metavar="BOUNDS", help="Multiply-adds: '<300M', '>1G'.")
    ] = None,
    sort: Annotated[str, typer.Option(help="By name, params, macs or top1.")] = "name",
    long: Annotated[
        bool, typer.Option("--long", "-l", help="A table: size, work, the best weights.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy over multiply-adds: a .png or .svg file.")
    ] = None,
) -> None:
    """List the networks, or the published weights that `create` takes by name."""
    names = families.list_models(pattern)
    if not names:
        raise unknown("model", pattern, families.list_models())
    if not (weights or family or params or macs or long or plot) and sort == "name":
        typer.echo("\n".join(names))
        return
    from zoo.cli import listing

    rows = listing.rows(names, family=family, params=params, macs=macs, sort=sort)
    if not rows:
        raise ZooError(f"none of the {len(names)} networks is within the bounds")
    if plot is not None:
        from zoo.reporting.scatter import save

        save(plot, listing.points(rows))
        typer.echo(f"written to {plot}")
    if weights:
        _print_pretrained(pattern, [row.name for row in rows], sort)
    elif long:
        listing.show(rows)
    elif plot is None:
        typer.echo("\n".join(row.name for row in rows))


def _print_pretrained(pattern: str, names: list[str], sort: str) -> None:
    """Print the published weights of networks."""
    from rich.console import Console

    from weights import pretrained

    entries = [entry for name in names for entry in pretrained.list_pretrained(name)]
    if not entries:
        raise unknown("model", pattern, {e.model for e in pretrained.list_pretrained()})
    if sort == "top1":
        entries.sort(key=lambda entry: -(entry.top1 or 0))
    console = Console()
    for entry in entries:
        p = entry.preprocessing
        accuracy = [
            f"{name} {value:.2f} %"
            for name, value in (("top-1", entry.top1), ("top-5", entry.top5))
            if value is not None
        ]
        told = [*accuracy, entry.license]
        if entry.conventions is not None:  # our own files carry theirs
            told.append(f"conventions {entry.conventions}")
        checked = f", sha256 {entry.sha256[:16]}…" if entry.sha256 else ""
        lines = [
            f"[bold]{entry.model}[/bold]  weights={entry.tag!r}",
            f"  {', '.join(told)}",
            *([f"  measured on {entry.measured_on}"] if entry.measured_on else []),
            f"  {p.channel_order}, resize {p.resize} ({p.interpolation}), crop {p.crop}, "
            f"mean {p.mean}, std {p.std}",
            f"  {entry.url}{checked}",
        ]
        console.print(visible("\n".join(lines)), highlight=False, soft_wrap=True)
