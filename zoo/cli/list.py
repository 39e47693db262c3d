"""``zoo list``."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo import families
from zoo.errors import unknown
from zoo.text import visible


def list_(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern.")] = "*",
    weights: Annotated[
        bool, typer.Option("--weights", help="List the published weights instead.")
    ] = False,
) -> None:
    """List the networks, or the published weights that `create` takes by name."""
    if weights:
        _print_pretrained(pattern)
        return
    names = families.list_models(pattern)
    if not names:
        raise unknown("model", pattern, families.list_models())
    typer.echo("\n".join(names))


def _print_pretrained(pattern: str) -> None:
    """Print the published weights of the networks that match a pattern."""
    from rich.console import Console

    from weights import pretrained

    entries = pretrained.list_pretrained(pattern)
    if not entries:
        raise unknown("model", pattern, {e.model for e in pretrained.list_pretrained()})
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
        lines = [
            f"[bold]{entry.model}[/bold]  weights={entry.tag!r}",
            f"  {', '.join(told)}",
            *([f"  measured on {entry.measured_on}"] if entry.measured_on else []),
            f"  {p.channel_order}, resize {p.resize} ({p.interpolation}), crop {p.crop}, "
            f"mean {p.mean}, std {p.std}",
            f"  {entry.url}, sha256 {entry.sha256[:16]}…",
        ]
        console.print(visible("\n".join(lines)), highlight=False, soft_wrap=True)
