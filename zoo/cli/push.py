"""``zoo push``."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo.cli.options import Name, split


def push(
    name: Name,
    repo: Annotated[str, typer.Argument(help="owner/repo on the Hugging Face Hub.")],
    weights: Annotated[
        str | None, typer.Option(help="A file, or published weights, of a network by name.")
    ] = None,
    backends: Annotated[
        str | None, typer.Option(help="What is proven; by default all that is installed.")
    ] = None,
    level: Annotated[str, typer.Option(help="Of the proof, as for zoo parity.")] = "forward",
    license: Annotated[str | None, typer.Option(help="SPDX identifier, for the card.")] = None,
    private: Annotated[bool, typer.Option("--private", help="For its owner alone.")] = False,
) -> None:
    """Put a network onto the Hugging Face Hub: weights, spec, parity report, model card."""
    from zoo.cli.progress import progress_bar
    from zoo.publishing import push_to_hub

    with progress_bar() as progress:
        address = push_to_hub(
            name, repo, weights=weights, backends=split(backends) if backends else None,
            level=level, license=license, private=private, progress=progress,
        )  # fmt: skip
    typer.echo(f"pushed: zoo.load({address!r})")
