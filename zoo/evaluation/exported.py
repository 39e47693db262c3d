"""An ONNX file as the network that it is, whoever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zoo import families
from zoo.errors import InputError
from zoo.evaluation.network import COLORS, Network, require_colors
from zoo.evaluation.pipeline import Transforms, asked, known_of_onnx, unknown_pipeline
from zoo.exporting import open_exported
from zoo.families import model_name
from zoo.recipes import Recipe

PROBE = 224
"""Height and width of the image that tells how many classes there are, where any size is taken."""


def exported(
    name: str, path: Path, transforms: Transforms | None, recipe: str | Path | Recipe | None
) -> Network:
    """Return the network in an ONNX file, run by ONNX Runtime as it is.

    Raises:
        WeightsError: it cannot be loaded.
        InputError: it does not take color images, or does not return a row of logits for each.
        ZooError: it is not known how pictures are prepared.
    """
    file = open_exported(path)
    if len(file.input_shape) != 4:
        raise InputError(f"{name}: input: rank (={len(file.input_shape)}) must be 4, of images")
    batch, channels, height, width = file.input_shape
    require_colors(name, COLORS if channels is None else channels)
    spec = (
        families.spec_from_json(file.metadata["zoo.spec"]) if "zoo.spec" in file.metadata else None
    )
    size = height or (spec.image_size if spec else None)
    pipeline = asked(transforms, recipe, size)
    if pipeline is None:
        pipeline = known_of_onnx(file.metadata, file.mean, file.std, size)
    if pipeline is None:
        raise unknown_pipeline(name)
    blank = np.zeros((batch or 1, COLORS, height or size or PROBE, width or size or PROBE))
    logits = file(blank)
    if not isinstance(logits, np.ndarray) or logits.ndim != 2:
        raise InputError(f"{name}: must have one output, a row of logits for each image")
    num_classes = logits.shape[1]

    def call(x: np.ndarray) -> Any:
        return file(x)

    return Network(
        name=name,
        model=model_name(spec) if spec else path.name,
        backend="onnx",
        num_classes=num_classes,
        classes=tuple(file.labels) if file.labels and len(file.labels) == num_classes else None,
        pipeline=pipeline,
        image_size=size,
        batch=batch,
        start=lambda: call,
    )
