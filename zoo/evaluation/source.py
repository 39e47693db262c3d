"""Trained weights of any kind, found and understood: which network, its classes, its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

import backends
from weights import Checkpoint, pretrained
from weights.pretrained import Pretrained
from zoo import families
from zoo.arch import Spec
from zoo.errors import WeightsError
from zoo.evaluation.exported import exported
from zoo.evaluation.network import Call, Network, require_colors
from zoo.evaluation.pipeline import Pipeline, Transforms, asked, known_of_file, unknown_pipeline
from zoo.families import base_model, model_name
from zoo.loading import Source, from_source, resolve
from zoo.models import create, realization
from zoo.recipes import Recipe
from zoo.training.run import INFO, RECIPE, Run, open_run
from zoo.training.state import MODEL

DEPTH = 3
"""A checkpoint's file lies so deep in the folder of its run, at most."""


def find(
    weights: Source,
    *,
    model: str | Spec | None = None,
    backend: str | None = None,
    transforms: Transforms | None = None,
    recipe: str | Path | Recipe | None = None,
    group_conv: str = "native",
    optimize: bool = True,
    overrides: Mapping[str, Any] | None = None,
) -> Network:
    """Return the network that is meant by weights; nothing is built yet.

    Args:
        weights: the folder of a run (its best checkpoint) or of a checkpoint, a file of any code
            base, an exported ``.onnx``, published weights by name, or canonical name → array.
        model: the network, where the weights do not tell it.
        backend: what runs it; by default ONNX Runtime for an ``.onnx``, which it runs as it is, and
            PyTorch for everything else.
        transforms: as for `zoo.evaluation.pipeline.asked`.
        recipe: likewise.
        group_conv: as for `create`.
        optimize: as for `create`.
        overrides: fields of the spec.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        TrainingError: the run is damaged, or has no checkpoint yet.
        ZooError: it is not known how pictures are prepared.
    """
    _ = realization(group_conv, optimize)
    name, source, run = _located(weights)
    as_it_is = isinstance(source, Path) and source.suffix == ".onnx" and backend in (None, "onnx")
    backend = backend or ("onnx" if as_it_is else "torch")
    engine = backends.load(backend)
    if as_it_is:
        if model is not None or overrides:
            raise WeightsError(
                f"{name}: is run as it is: model= and overrides change nothing in it"
            )
        return exported(name, Path(str(source)), transforms, recipe)
    spec, arrays, checkpoint = _read(source, model, overrides or {})
    require_colors(name, spec.in_channels)
    published = _published(source, checkpoint)
    classes = run.classes if run is not None else published.classes if published else ()
    pipeline = asked(transforms, recipe, spec.image_size)
    if pipeline is None and run is not None:
        pipeline = Pipeline(run.recipe.evaluate, "the run's recipe")
    if pipeline is None and checkpoint is not None:
        pipeline = known_of_file(checkpoint, published, spec.image_size)
    if pipeline is None:
        raise unknown_pipeline(name)

    def start() -> Call:
        native = create(
            spec,
            backend=cast(backends.Name, backend),
            weights=arrays,
            group_conv=group_conv,
            optimize=optimize,
        )

        def call(x: np.ndarray) -> np.ndarray:
            spec.graph.check_input(x.shape)
            return np.asarray(engine.predict(native, x)[0], np.float32)

        return call

    return Network(
        name=name,
        model=model_name(spec),
        backend=backend,
        num_classes=spec.num_classes,
        classes=classes if len(classes) == spec.num_classes else None,
        pipeline=pipeline,
        image_size=spec.image_size,
        run=run,
        start=start,
    )


def _published(source: Source, checkpoint: Checkpoint | None) -> Pretrained | None:
    """Return what is published of weights that were asked for by name."""
    model = base_model(checkpoint.spec) if checkpoint is not None else None
    return pretrained.find(model, source) if model and isinstance(source, str) else None


def _located(weights: Source) -> tuple[str, Source, Run | None]:
    """Return what weights are called, where they are (a path; text for a tag), and their run."""
    if not isinstance(weights, str | Path):
        where = getattr(weights, "path", None)
        return (str(where) if where else "the weights given"), weights, None
    path = Path(weights)
    if not path.exists():
        return str(weights), str(weights), None
    if not path.is_dir():
        return str(weights), path, _run_around(path)
    if (path / RECIPE).is_file():
        run = open_run(path)
        return f"{weights} (epoch {run.best.epoch})", run.best.model, run
    if (path / MODEL).is_file():
        return str(weights), path / MODEL, _run_around(path / MODEL)
    raise WeightsError(
        f"{weights}: is a folder, and neither a run, which has a {RECIPE}, nor a checkpoint, which "
        f"has a {MODEL}"
    )


def _run_around(file: Path) -> Run | None:
    """Return the run whose checkpoint a file is."""
    if file.name != MODEL:
        return None
    for folder in file.resolve().parents[:DEPTH]:
        if (folder / RECIPE).is_file() and (folder / INFO).is_file():
            return open_run(folder)
    return None


def _read(
    source: Source, model: str | Spec | None, overrides: Mapping[str, Any]
) -> tuple[Spec, Mapping[str, np.ndarray], Checkpoint | None]:
    """Return a spec, weights that fit it, and the file that they come from."""
    if isinstance(source, str | Path):
        wanted = families.spec(model, **overrides) if model is not None else None
        source = from_source(source, wanted)
    if isinstance(source, Checkpoint):
        spec, arrays = resolve(model or source.spec, source, overrides, adapt=False, seed=0)
        return spec, arrays, source
    if model is None:
        raise WeightsError("weights that are no file need model=: the network that they are of")
    spec, arrays = resolve(model, source, overrides, adapt=False, seed=0)
    return spec, arrays, None
