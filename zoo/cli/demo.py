"""``zoo demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    name: Annotated[str, typer.Argument(help="The network.")] = "shufflenet_v1_2.0x_g3",
    out: Annotated[Path, typer.Option(help="Folder for the report and the chart.")] = Path("."),
    data: Annotated[
        Path | None, typer.Option(help="CIFAR-10, which the trained weights are shown.")
    ] = None,
) -> None:
    """Build a network in PyTorch and MindSpore, prove them equal, and show trained ones images."""
    from zoo.cli.demonstration import run, show_trained
    from zoo.data import open_dataset

    images = open_dataset(data) if data is not None else None
    proven = run(name, out)
    if not (show_trained(images, out) and proven):
        raise typer.Exit(1)
