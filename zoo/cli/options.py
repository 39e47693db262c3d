"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.errors import ZooError, unknown

Name = Annotated[
    str, typer.Argument(help="A name that `zoo list` shows, or a file that tells its network.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the spec; repeatable."),
]
Weights = Annotated[
    str,
    typer.Argument(
        help="A run's folder, a file of any code base, an ONNX file, or published weights."
    ),
]
Model = Annotated[str | None, typer.Option(help="The network, where WEIGHTS do not tell.")]
Preparation = Annotated[
    str | None, typer.Option(help="Prepare images as this recipe does: a name or a JSON file.")
]
Preprocessing = Annotated[
    str | None, typer.Option(help="Or as these weights expect: imagenet or megvii.")
]
Foreign = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file of a network, or package.module:name of what makes one; its code is run.",
    ),
]
Example = Annotated[
    str | None,
    typer.Option(help="Shape of the images, N,C,H,W.", show_default="the file's, or 2,3,224,224"),
]
TheirWeights = Annotated[Path | None, typer.Option(help="A file of the network's own code base.")]
BatchSize = Annotated[int, typer.Option(help="Images a batch.")]
Workers = Annotated[int, typer.Option(help="Threads that prepare images.")]
GroupConv = Annotated[str, typer.Option(help="native or split.")]
Optimize = Annotated[
    bool, typer.Option("--optimize/--no-optimize", help="Run the form for inference.")
]
SkipCorrupt = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out images that are missing or damaged.")
]


def parse(changes: list[str] | None, *, of_recipe: bool = False) -> dict[str, Any]:
    """Return ``KEY=VALUE`` texts as overrides; values are JSON, or text where they are not.

    Args:
        changes: the texts.
        of_recipe: whether they are fields of a recipe instead of a spec.
    """
    from zoo.families import overridable
    from zoo.text import TextError
    from zoo.text import parse as value_of

    overrides: dict[str, Any] = {}
    for change in changes or ():
        key, separator, value = change.partition("=")
        if not separator:
            raise ZooError(f"--set {change!r} must be KEY=VALUE")
        if (
            not of_recipe and key not in overridable()
        ):  # not left to `spec`: it may be the name of an argument
            raise unknown("override", key, overridable())
        try:
            overrides[key] = value_of(value)
        except TextError:
            overrides[key] = value
    return overrides


def split(texts: str) -> list[str]:
    """Return the parts of a list that commas separate."""
    return [part.strip() for part in texts.split(",") if part.strip()]


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return ``1,2.5,3`` as numbers; None where the option was not given."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ZooError(f"--{option}: {text!r} must be numbers, comma-separated") from None


def shape_of(text: str) -> tuple[int, ...]:
    """Return ``2,3,224,224`` as numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ZooError(f"--example: {text!r} must be whole numbers, comma-separated") from None
