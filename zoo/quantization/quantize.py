"""`zoo.quantize`: an ONNX file of 8 bits, calibrated on images, with what it costs measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import backends
from weights import Checkpoint, load_weights, pretrained
from weights.address import is_address
from weights.pretrained import Preprocessing
from zoo import families
from zoo.errors import ExportError, InputError, OutputError, ZooError, unknown
from zoo.exporting import export
from zoo.files import atomic, scratch
from zoo.images import Pictures, find_pictures, folder_classes, read_truth
from zoo.loading import Network, Source, asked, opened
from zoo.machine import machine, version
from zoo.output import Progress, require_writable
from zoo.passes import optimize
from zoo.preprocessing import for_size, normalize, preset_of
from zoo.quantization.measure import compare
from zoo.quantization.mixed_precision import TOLERANCE, choose, named, units_of
from zoo.quantization.report import QuantizationReport

BATCH = 8
"""Images that are run at once; the calibration keeps all their values in memory."""
PROBES = 32
"""Images that the error of each unit is measured on, about."""

PROCESSORS = (
    "as measured on ARM and on x86 with VNNI; on x86 without it, this package asks ONNX Runtime "
    "for sums that are not cut off (session.x64quantprecision), and for other programs there is "
    "reduce_range (--reduce-range)"
)
"""What a report says of where its file is right."""


def quantize(
    model: Any,
    path: str | Path,
    *,
    calibration: str | Path,
    weights: Source | None = None,
    preprocessing: str | Preprocessing | None = None,
    evaluate: str | Path | None = None,
    truth: str | Path | None = None,
    labels: Sequence[str] | None = None,
    method: str = "minmax",
    per_channel: bool = True,
    activations: str = "uint8",
    reduce_range: bool = False,
    exclude: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    max_images: int | None = None,
    adapt: bool = False,
    seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
    **overrides: Any,
) -> QuantizationReport:
    """Write a network as an ONNX file of 8 bits, and measure what that costs.

    The optimized network is quantized by ONNX Runtime's tool: filters int8, the values between
    nodes uint8, their ranges taken from images. What 8 bits hurt most is left in float32. Nothing
    is written before all of it is done.

    Args:
        model: whatever `create` takes, or a live model that it made.
        path: the destination, ``.onnx``.
        calibration: a folder of images, also in folders below it, like those that the network will
            see. 100 to 500 are enough.
        weights: as for `create`; not with a live model.
        preprocessing: how an image becomes the network's input: ``"imagenet"``, ``"megvii"`` (BGR,
            0 to 255) or a `Preprocessing`, scaled to the network's image size. By default
            what is known of the weights, else ``"imagenet"``.
        evaluate: a folder of other images to measure on; by default those of the calibration.
        truth: the classes of the images that are measured on: CSV with the columns file and index.
            By default the folders are the classes, where it is clear which.
        labels: the name of each class, for the file's metadata.
        method: how ranges are taken: ``"minmax"``, ``"percentile"`` or ``"entropy"``.
        per_channel: a scale for each output channel of a filter instead of one for all.
        activations: ``"uint8"``, or ``"int8"`` for ARM processors, slower on others.
        reduce_range: filters of 7 bits, for x86 processors without VNNI where other programs than
            this package run the file: their sums of 8-bit products are cut off.
        exclude: nodes and scopes (``"stem"``, ``"stage2.0"``) that are left in float32, by default
            chosen by ``tolerance``; ``()`` quantizes everything.
        tolerance: relative L2 error of the logits that the choice aims at.
        max_images: take so many of the calibration's images, evenly spaced.
        adapt: as for `create`.
        seed: as for `create`.
        force: replace an existing file.
        progress: told of every step; for progress bars.
        **overrides: fields of the spec; ``image_size`` is the height and width of the file's input.

    Raises:
        InputError: a folder is missing or empty, an image cannot be read, or its class is not one
            of the network's.
        OutputError: the file exists or cannot be written.
        ZooError: an argument is out of range.
        UnknownNameError: the method, preprocessing, type, node, model or override does not exist.
        WeightsError: the weights do not fit.
        ExportError: the float32 network cannot be written.
        BackendNotInstalledError: onnx or onnxruntime is missing.

    Example:
        >>> quantize(
        ...     "shufflenet_v2_1.0x", "net.int8.onnx", calibration="images/"
        ... ).costs.agreement.top1  # doctest: +SKIP
    """
    engine = backends.quantizer()
    path = Path(path)
    options: dict[str, Any] = {
        "per_channel": per_channel,
        "activations": activations,
        "reduce_range": reduce_range,
    }
    require_writable(path, ".onnx", force)
    if isinstance(model, Network):
        model = opened(model)
    _check(engine, method, activations, tolerance)
    how = _preprocessing(model, weights, preprocessing, overrides)
    found = find_pictures(calibration, max_images)
    seen = found if evaluate is None else find_pictures(evaluate)
    stated = None if truth is None else read_truth(truth, seen)
    steps = _Steps(progress)
    steps("reading the images")
    pixels = found.pixels(how)

    with scratch(path) as folder:
        float_file = folder / "float32.onnx"
        steps("writing the float32 network")
        try:
            exported = export(
                model,
                float_file,
                weights=weights,
                optimize=True,
                labels=labels,
                mean=how.mean,
                std=[value / how.value_range for value in how.std],
                adapt=adapt,
                seed=seed,
                **overrides,
            )
        except (ExportError, OutputError) as error:
            raise type(error)(str(error).replace(str(float_file), str(path))) from None
        spec = families.spec_from_json(engine.File(float_file).metadata["zoo.spec"])
        classes, unclear = _classes(stated, truth, seen, spec.num_classes, labels)
        steps(f"calibrating by {method}")
        calibrated = engine.Calibrated(float_file, _batches(found, pixels, how), method)
        float32 = engine.Runner(float_file)
    graph, _ = optimize(spec.graph)
    if exclude is not None:
        kept = named(calibrated.nodes, exclude)
    else:
        steps.more(len(units_of(calibrated.nodes)))
        probes = normalize(pixels[:: math.ceil(len(pixels) / PROBES)], how)
        kept = choose(
            calibrated.nodes,
            graph,
            tolerance,
            lambda nodes: engine.Runner(calibrated.quantize(only=nodes, **options)),
            probes,
            float32(probes),
            steps,
        )
    settings = {
        "method": method,
        **options,
        "float32": list(kept.units),
        "calibration_images": len(found),
        "preprocessing": dataclasses.asdict(how),
    }
    proto = calibrated.quantize(exclude=kept.nodes, metadata=settings, **options)
    contents = proto.SerializeToString()
    steps("measuring")
    costs = compare(
        float32,
        engine.Runner(proto),
        _batches(seen, pixels if evaluate is None else None, how),
        classes,
        float32_bytes=exported.size,
        int8_bytes=len(contents),
    )
    with atomic(path, force=force, verify=engine.File) as file:
        file.write(contents)
    return QuantizationReport(
        path=path,
        model=exported.model,
        settings=settings,
        float32_units=kept.units,
        float32_share=kept.share(graph),
        expected_error=kept.expected,
        calibration=found.folder,
        calibration_images=len(found),
        evaluation=seen.folder,
        evaluation_images=len(seen),
        held_out=evaluate is not None,
        costs=costs,
        notes=(*unclear, *calibrated.warnings, *([] if reduce_range else [PROCESSORS])),
        made_with={
            "parity-zoo": version("parity-zoo"),
            "onnxruntime": engine.describe(),
            "machine": dataclasses.asdict(machine()),
        },
    )


def _check(engine: backends.Quantizer, method: str, activations: str, tolerance: float) -> None:
    """Raise what can be raised before any work is done."""
    if method not in engine.METHODS:
        raise unknown("method", method, engine.METHODS)
    if activations not in engine.ACTIVATIONS:
        raise unknown("activations", activations, engine.ACTIVATIONS)
    if not tolerance > 0:
        raise ZooError(f"tolerance (={tolerance:g}) must be greater than 0")


def _preprocessing(
    model: Any,
    weights: Source | None,
    preprocessing: str | Preprocessing | None,
    overrides: Mapping[str, Any],
) -> Preprocessing:
    """Return how an image becomes the input: as asked, or as it is known of the weights."""
    if isinstance(model, Network):
        spec = families.spec(opened(model), **overrides)
        graph, name = spec.graph, families.base_model(spec)
        if preprocessing is None and isinstance(weights, str | Path):
            if is_address(weights) or Path(weights).exists():
                preprocessing = load_weights(weights, model=spec).preprocessing
            elif name and pretrained.is_tag(str(weights)):
                entry = pretrained.named(name, str(weights), asked(model, overrides))
                preprocessing = entry.preprocessing
        elif preprocessing is None:
            known = model if weights is None else weights
            preprocessing = known.preprocessing if isinstance(known, Checkpoint) else None
    else:
        graph = backends.backend_of(model).graph_of(model)
        preprocessing = preprocessing or graph.preprocessing
    if graph.in_channels != 3:
        raise InputError(f"in_channels (={graph.in_channels}) must be 3: images are read in color")
    size = overrides.get("image_size", graph.image_size[0])
    if not isinstance(preprocessing, Preprocessing):
        preprocessing = preset_of(preprocessing or "imagenet")
    return for_size(preprocessing, size)


def _classes(
    stated: list[int] | None,
    truth: str | Path | None,
    seen: Pictures,
    num_classes: int,
    labels: Sequence[str] | None,
) -> tuple[list[int] | None, tuple[str, ...]]:
    """Return the class of each image, and a note if they are not known."""
    if stated is None:
        found, unclear = folder_classes(seen, num_classes, labels)
        return found, (f"no accuracy: {unclear}",) if unclear else ()
    for index in stated:
        if not 0 <= index < num_classes:
            raise InputError(f"{truth}: index (={index}) must be from 0 to {num_classes - 1}")
    return stated, ()


def _batches(
    pictures: Pictures, pixels: np.ndarray | None, how: Preprocessing
) -> Iterator[np.ndarray]:
    for start in range(0, len(pictures), BATCH):
        part = slice(start, start + BATCH)
        read = pictures.pixels(how, part.start, part.stop) if pixels is None else pixels[part]
        yield normalize(read, how)


class _Steps:
    """Tells of the steps that are taken."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done, self._total = progress, 0, 4

    def more(self, steps: int) -> None:
        """Know of more steps."""
        self._total += steps

    def __call__(self, what: str) -> None:
        """Begin a step."""
        if self._progress is not None:
            self._progress(what, self._done, self._total)
        self._done += 1
