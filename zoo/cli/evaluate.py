"""``zoo evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.options import (
    BatchSize,
    GroupConv,
    Model,
    Optimize,
    Overrides,
    Preparation,
    Preprocessing,
    SkipCorrupt,
    Weights,
    Workers,
    parse,
    split,
)

if TYPE_CHECKING:
    from zoo.evaluation.agreement import Agreement
    from zoo.evaluation.evaluation import Evaluation


def evaluate(
    weights: Weights,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder or archive of images; by default that of the run."),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Comma-separated: torch, mindspore, onnx, openvino, numpy."),
    ] = None,
    part: Annotated[str, typer.Option("--split", help="test or train.")] = "test",
    model: Model = None,
    recipe: Preparation = None,
    preprocessing: Preprocessing = None,
    truth: Annotated[
        Path | None, typer.Option(help="Classes of the images: CSV with columns file, index.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Of CIFAR-100: fine or coarse; by default as in the run.")
    ] = None,
    batch_size: BatchSize = 128,
    workers: Workers = 2,
    group_conv: GroupConv = "native",
    optimize: Optimize = True,
    skip_corrupt: SkipCorrupt = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results here.")
    ] = None,
    confusion: Annotated[
        list[Path] | None,
        typer.Option(help="Write the confusion matrix here, .png or .csv; repeatable."),
    ] = None,
    changes: Overrides = None,
) -> None:
    """Measure loss, accuracy, confusions and speed of trained weights.

    Several backends are compared image by image; exit status 1 where they name different classes
    by more than rounding.
    """
    from zoo.output import require_writable

    if json_file is not None:
        require_writable(json_file, ".json")
    for path in confusion or ():
        require_writable(path, ".csv" if path.suffix.lower() == ".csv" else ".png")

    from zoo.cli.progress import progress_bar
    from zoo.evaluation.agreement import compare
    from zoo.evaluation.runner import evaluate as measure

    asked = {
        "model": model,
        "split": part,
        "recipe": recipe,
        "transforms": preprocessing,
        "truth": truth,
        "labels": labels,
        "batch_size": batch_size,
        "workers": workers,
        "group_conv": group_conv,
        "optimize": optimize,
        "skip_corrupt": skip_corrupt,
        **parse(changes),
    }
    names = split(backend) if backend is not None else []
    agreement = None
    with progress_bar() as progress:
        if len(names) > 1:
            agreement = compare(weights, data, backends=names, progress=progress, **asked)
            found = agreement.evaluations
        else:
            name = names[0] if names else None
            found = (measure(weights, data, backend=name, progress=progress, **asked),)
    # Files first: a reader of the tables (head) may close the pipe.
    if json_file is not None:
        (agreement or found[0]).save(json_file)
    for path in confusion or ():
        if path.suffix.lower() == ".csv":
            found[0].save_confusion(path)
        else:
            found[0].plot_confusion(path)
    _show(found, agreement)
    if agreement is not None and not agreement.passed:
        raise typer.Exit(1)


def _show(found: Sequence[Evaluation], agreement: Agreement | None) -> None:
    from rich.console import Console

    from zoo.evaluation.evaluation import results

    console = Console(highlight=False)
    console.print(results(found))
    console.print(found[0].class_table())
    for message in found[0].skipped:
        console.print(f"skipped: {message}", markup=False, soft_wrap=True)
    console.print(f"images: {found[0].pipeline}", style="dim", markup=False, soft_wrap=True)
    if agreement is not None and agreement.disagreements:
        console.print(agreement.table())
    console.print((agreement or found[0]).summary(), markup=False, soft_wrap=True)
