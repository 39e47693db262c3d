"""What is asked for (`Setup`): which trained weights, and how they are shown pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

import backends
from weights import Checkpoint, pretrained
from weights.address import is_address
from weights.pretrained import Pretrained
from zoo import families
from zoo.arch import Spec
from zoo.errors import InputError, WeightsError, ZooError
from zoo.exporting import open_exported
from zoo.families import base_model, model_name
from zoo.loading import Network as Named
from zoo.loading import Source, from_source, opened, resolve
from zoo.models import create, realization
from zoo.output import Progress
from zoo.preprocessing import Pipeline, Transforms, asked, known_of_file, known_of_onnx
from zoo.recipes import Recipe
from zoo.training.run import INFO, RECIPE, Run, open_run
from zoo.training.state import MODEL

DEPTH = 3
"""A checkpoint's file lies so deep in the folder of its run, at most."""
COLORS = 3
PROBE = 224
"""Height and width of the image that tells how many classes there are, where any size is taken."""

Call = Callable[[np.ndarray], np.ndarray]
"""float32 (N, 3, H, W) -> logits, float32 (N, classes)."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What `evaluate`, `compare` and `predict` are asked for; fields are as their arguments.

    Attributes:
        overrides: fields of the spec.
    """

    weights: Source
    model: Named | None = None
    backend: str | None = None
    recipe: str | Path | Recipe | None = None
    transforms: Transforms | None = None
    batch_size: int = 128
    workers: int = 2
    group_conv: str = "native"
    optimize: bool = True
    skip_corrupt: bool = False
    progress: Progress | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Source, **options: Any) -> Self:
        """Return what is asked for by keywords: those that are no fields are overrides.

        Raises:
            ZooError: a number is out of range.
        """
        own = {one.name for one in dataclasses.fields(cls)} & options.keys() - {"overrides"}
        overrides = {name: value for name, value in options.items() if name not in own}
        setup = cls(weights=weights, **{name: options[name] for name in own}, overrides=overrides)
        if setup.batch_size < 1:
            raise ZooError(f"batch_size (={setup.batch_size}) must be at least 1")
        return setup

    def network(self) -> Network:
        """Return the network that is meant; nothing is built yet.

        By default ONNX Runtime runs an ``.onnx``, as it is, and PyTorch everything else.

        Raises:
            WeightsError: there are no such weights, or they do not fit.
            TrainingError: the run is damaged, or has no checkpoint yet.
            InputError: the network does not take color images.
            ZooError: it is not known how pictures are prepared.
        """
        _ = realization(self.group_conv, self.optimize)
        name, source, run = _located(self.weights)
        if isinstance(source, Path) and source.suffix == ".onnx" and self.backend in (None, "onnx"):
            backends.load("onnx")
            if self.model is not None or self.overrides:
                raise WeightsError(
                    f"{name}: is run as it is: model= and overrides change nothing in it"
                )
            return self._exported(name, source)
        backend = self.backend or "torch"
        engine = backends.load(backend)
        spec, arrays, checkpoint = _read(source, self.model, self.overrides)
        _require_colors(name, spec.in_channels)
        published = _published(source, checkpoint)
        classes = run.classes if run is not None else published.classes if published else ()

        def known() -> Pipeline | None:
            if run is not None:
                return Pipeline(run.recipe.evaluate, "the run's recipe")
            if checkpoint is None:
                return None
            return known_of_file(checkpoint, published, spec.image_size)

        def start() -> Call:
            native = create(
                spec,
                backend=cast(backends.Name, backend),
                weights=arrays,
                group_conv=self.group_conv,
                optimize=self.optimize,
            )

            def call(x: np.ndarray) -> np.ndarray:
                spec.graph.check_input(x.shape)
                return np.asarray(engine.predict(native, x)[0], np.float32)

            return call

        return Network(
            setup=self,
            name=name,
            model=model_name(spec),
            backend=backend,
            num_classes=spec.num_classes,
            classes=classes if len(classes) == spec.num_classes else None,
            pipeline=self._pipeline(name, spec.image_size, known),
            image_size=spec.image_size,
            run=run,
            start=start,
        )

    def _exported(self, name: str, path: Path) -> Network:
        """Return the network in an ONNX file, whoever wrote it, run by ONNX Runtime as it is."""
        file = open_exported(path)
        if len(file.input_shape) != 4:
            raise InputError(f"{name}: input: rank (={len(file.input_shape)}) must be 4, of images")
        batch, channels, height, width = file.input_shape
        _require_colors(name, COLORS if channels is None else channels)
        text = file.metadata.get("zoo.spec")
        spec = families.spec_from_json(text) if text is not None else None
        size = height or (spec.image_size if spec else None)
        pipeline = self._pipeline(
            name, size, lambda: known_of_onnx(file.metadata, file.mean, file.std, size)
        )
        blank = np.zeros((batch or 1, COLORS, height or size or PROBE, width or size or PROBE))
        logits = file(blank)
        if not isinstance(logits, np.ndarray) or logits.ndim != 2:
            raise InputError(f"{name}: must have one output, a row of logits for each image")
        num_classes = logits.shape[1]
        return Network(
            setup=self,
            name=name,
            model=model_name(spec) if spec else path.name,
            backend="onnx",
            num_classes=num_classes,
            classes=tuple(file.labels) if file.labels and len(file.labels) == num_classes else None,
            pipeline=pipeline,
            image_size=size,
            batch=batch,
            start=lambda: cast(Call, file),
        )

    def _pipeline(
        self, name: str, size: int | None, known: Callable[[], Pipeline | None]
    ) -> Pipeline:
        """Return how pictures are prepared: as asked for, else as it is known."""
        found = asked(self.transforms, self.recipe, size) or known()
        if found is None:
            raise ZooError(
                f"{name}: how its images were prepared is not known; give recipe= (--recipe) or "
                "transforms= (--preprocessing imagenet or megvii)"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Network:
    """Trained weights and what it takes to show them pictures.

    Attributes:
        setup: what was asked for.
        name: what messages and reports call them.
        model: the network's name.
        backend: what runs it.
        num_classes: how many logits an image gets.
        classes: the names of the classes, where the weights bring them.
        pipeline: how pictures are prepared.
        image_size: height and width of its images; None where it does not tell.
        batch: the number of images that a call must have; None for any.
        run: the run that the weights come from, if they do.
        start: builds the network.
    """

    setup: Setup
    name: str
    model: str
    backend: str
    num_classes: int
    classes: tuple[str, ...] | None
    pipeline: Pipeline
    image_size: int | None
    batch: int | None = None
    run: Run | None = None
    start: Callable[[], Call]


def _require_colors(name: str, in_channels: int) -> None:
    if in_channels != COLORS:
        raise InputError(
            f"{name}: in_channels (={in_channels}) must be {COLORS}: images are read in color"
        )


def _published(source: Source, checkpoint: Checkpoint | None) -> Pretrained | None:
    """Return what is published of weights that were asked for by name."""
    model = base_model(checkpoint.spec) if checkpoint is not None else None
    if model is None or not isinstance(source, str) or is_address(source):
        return None
    return pretrained.named(model, source)


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
    source: Source, model: Named | None, overrides: Mapping[str, Any]
) -> tuple[Spec, Mapping[str, np.ndarray], Checkpoint | None]:
    """Return a spec, weights that fit it, and the file that they come from."""
    model = opened(model) if model is not None else None
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
