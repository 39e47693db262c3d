"""``zoo info``."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo import families
from zoo.arch import Cost, Spec
from zoo.cli.options import Name, Overrides, parse


def info(
    name: Name,
    size: Annotated[int | None, typer.Option(help="Height and width of the image.")] = None,
    depth: Annotated[int, typer.Option(help="Sum up names to so many parts; 0 for all.")] = 2,
    changes: Overrides = None,
    spec_json: Annotated[bool, typer.Option("--spec", help="Print the spec as JSON only.")] = False,
) -> None:
    """Show what a network is and costs: shapes, parameters, multiply-adds, memory."""
    from zoo import models
    from zoo.loading import opened

    wanted = families.spec(opened(name), **parse(changes))
    if spec_json:
        typer.echo(wanted.to_json())
        return
    _print(name, wanted, models.cost(wanted, image_size=size), depth)


def _print(name: str, spec: Spec, cost: Cost, depth: int) -> None:
    """Print a row for each node, or for each name of ``depth`` parts, and the totals."""
    from rich.console import Console
    from rich.table import Table

    from zoo.style import STYLE

    console = Console()
    table = Table(title=f"{name}  ({spec.conventions_told})", **STYLE)
    table.add_column("name", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    for column in ("output", "params", "MACs", "memory"):
        table.add_column(column, justify="right", no_wrap=True)
    groups: dict[str, list[int]] = {}
    for i, node in enumerate(cost.nodes):
        key = ".".join(node.name.split(".")[:depth]) if depth else node.name
        groups.setdefault(key, []).append(i)
    for key, members in groups.items():
        rows = [cost.nodes[i] for i in members]
        table.add_row(
            key,
            rows[0].op if len(rows) == 1 else f"{len(rows)} nodes",
            "×".join(map(str, rows[-1].shape[1:])),
            _count(sum(row.params for row in rows)),
            _count(sum(row.macs for row in rows)),
            _bytes(sum(row.activation_bytes for row in rows)),
        )
    table.add_section()
    size = "×".join(map(str, cost.input_shape[1:]))
    table.add_row(
        "total",
        "",
        "",
        _count(cost.params),
        _count(cost.macs),
        _bytes(cost.activation_bytes),
        style="bold",
    )
    console.print(table)
    console.print(
        f"{cost.params:,} parameters · {cost.macs / 1e6:.2f}M multiply-adds · "
        f"{_bytes(cost.peak_bytes)} of activations\n"
        f"alive at once · input {size} · spec {spec.sha256[:16]}",
        highlight=False,
    )


def _count(value: int) -> str:
    return f"{value:,}" if value else "–"


def _bytes(value: int) -> str:
    return f"{value / 2**20:.2f} MiB"
