"""``zoo quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.options import Name, Overrides, numbers, parse, split


def quantize(
    name: Name,
    calibration: Annotated[Path, typer.Option(help="A folder of images to take ranges from.")],
    out: Annotated[Path, typer.Option(help="The file to write, .onnx.")],
    weights: Annotated[
        str | None, typer.Option(help="A file of any code base, or published weights.")
    ] = None,
    evaluate: Annotated[
        Path | None, typer.Option(help="A folder of other images to measure on.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Classes of the images: CSV with columns file, index.")
    ] = None,
    preprocessing: Annotated[
        str | None, typer.Option(help="What the weights expect: imagenet or megvii.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Of each channel in 0..1, by commas.")] = None,
    std: Annotated[str | None, typer.Option(help="Of each channel in 0..1, by commas.")] = None,
    value_range: Annotated[float | None, typer.Option(help="1, or 255 for bytes.")] = None,
    bgr: Annotated[bool | None, typer.Option("--bgr/--rgb", help="Order of the channels.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Height and width of the images.")] = None,
    method: Annotated[str, typer.Option(help="minmax, percentile or entropy.")] = "minmax",
    max_images: Annotated[
        int | None, typer.Option(help="Calibrate on so many of the images.")
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(help="Nodes and scopes left in float32, by commas; or none. Else chosen."),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Error of the logits that the choice aims at.")
    ] = None,
    per_tensor: Annotated[
        bool, typer.Option("--per-tensor", help="One scale a filter, not one a channel.")
    ] = False,
    reduce_range: Annotated[
        bool, typer.Option("--reduce-range", help="Filters of 7 bits, for x86 without VNNI.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    changes: Overrides = None,
) -> None:
    """Write a network as an ONNX file of 8 bits, and measure what that costs."""
    from zoo.output import require_writable

    if json_file is not None:
        require_writable(json_file, ".json")
    fields: dict[str, Any] = {
        "mean": numbers("mean", mean),
        "std": numbers("std", std),
        "value_range": value_range,
        "channel_order": {True: "BGR", False: "RGB", None: None}[bgr],
    }
    fields = {key: value for key, value in fields.items() if value is not None}
    overrides = parse(changes) | ({} if image_size is None else {"image_size": image_size})

    from zoo.cli.progress import progress_bar
    from zoo.loading import is_file
    from zoo.quantization.mixed_precision import TOLERANCE
    from zoo.quantization.quantize import quantize as write

    with progress_bar() as progress:
        report = write(
            name,
            out,
            calibration=calibration,
            weights=weights,
            preprocessing=_preprocessing(preprocessing, fields),
            evaluate=evaluate,
            truth=truth,
            method=method,
            per_channel=not per_tensor,
            reduce_range=reduce_range,
            exclude=None if exclude is None else [] if exclude == "none" else split(exclude),
            tolerance=TOLERANCE if tolerance is None else tolerance,
            max_images=max_images,
            force=force,
            progress=progress,
            **overrides,
        )
    typer.echo(report)
    if weights is None and not is_file(name):
        typer.echo("note: the weights are initial ones (seed 0); --weights gives trained ones")
    if json_file:
        report.save(json_file)


def _preprocessing(preset: str | None, fields: dict[str, Any]) -> Any:
    """Return a preset with some of its fields changed, or just its name."""
    if not fields:
        return preset
    from dataclasses import replace

    from zoo.preprocessing import preset_of

    return replace(preset_of(preset or "imagenet"), **fields)
