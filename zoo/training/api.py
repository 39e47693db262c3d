"""Train and resume: what is asked for is checked, put together, and run."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from weights import Checkpoint
from zoo.data import Dataset, open_dataset
from zoo.data.transforms import apply
from zoo.errors import SpecError, TrainingError
from zoo.loading import Source, opened, resolve
from zoo.machine import machine
from zoo.output import Progress
from zoo.recipes import Recipe
from zoo.recipes import recipe as recipe_of
from zoo.training.alone import alone
from zoo.training.info import RunInfo
from zoo.training.interrupts import interrupts
from zoo.training.loader import Loader, Pipeline, require_fit, shares
from zoo.training.log import Log
from zoo.training.loop import Loop
from zoo.training.run import Run, load_state, open_run, require_new, save_info, start_run
from zoo.training.state import State

log = logging.getLogger("zoo")


def train(
    recipe: str | Recipe,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    backend: str = "torch",
    weights: Source | None = None,
    adapt: bool = False,
    pipeline: Pipeline = "numpy",
    workers: int = 2,
    compiled: bool = False,
    labels: str = "fine",
    skip_corrupt: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Run:
    """Train a network; return the run's folder.

    The folder holds the recipe, logs (``epochs.csv``, ``steps.csv``, TensorBoard's) and
    checkpoints: the last ``keep`` and the best. A run that was stopped or killed goes on with
    `resume`. Under ``torchrun`` or ``msrun`` the processes share each batch.

    Args:
        recipe: a name of `list_recipes`, or a recipe.
        data: a folder or archive that `open_dataset` reads, or a data set.
        out: the run's folder, which must not exist or be empty.
        backend: ``"torch"`` or ``"mindspore"``.
        weights: to start from, as for `create`; by default initial ones from the recipe's seed.
        adapt: fit these to the recipe's number of classes, as for `create`.
        pipeline: ``"numpy"``, the same images for every framework, or ``"native"``, the
            framework's own transforms.
        workers: threads or processes that prepare images.
        compiled: PyTorch: go through ``torch.compile``. MindSpore compiles anyway.
        labels: of CIFAR-100: ``"fine"`` or ``"coarse"``.
        skip_corrupt: leave out images that cannot be read, rather than refuse the data.
        progress: told of every step; for progress bars.
        **changes: fields of the recipe, as for `Recipe.replace`. ``network`` may be whatever
            `create` takes; what brings weights starts from them.

    Raises:
        UnknownNameError: no such recipe, field, backend or pipeline.
        SpecError: the recipe's values do not fit together, or the framework cannot do them here.
        InputError: the data cannot be read.
        TrainingError: the data do not fit the network, the folder is in use, the loss is not
            finite, the disk is full.
        BackendNotInstalledError: the framework is missing.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    changes, weights = with_network(changes, weights)
    chosen = recipe_of(recipe, **changes)
    require_new(Path(out))
    engine = backends.trainable(backend)
    Loader(engine, pipeline, workers, chosen.seed)
    spec, initial = resolve(chosen.spec, weights, {}, adapt=adapt, seed=chosen.seed)
    if spec != chosen.spec:
        raise TrainingError("the weights bring another network than the recipe's: see adapt=True")
    if isinstance(data, Dataset):
        dataset = data
    else:
        dataset = open_dataset(data, labels=labels, skip_corrupt=skip_corrupt)
    _check(chosen, dataset)
    info = RunInfo(
        backend=backend,
        data=dataset.name,
        source=None if isinstance(data, Dataset) else str(data),
        labels=labels,
        skip_corrupt=skip_corrupt,
        skipped=dataset.skipped,
        classes=dataset.classes,
        pipeline=pipeline,
        workers=workers,
        compiled=compiled,
        weights=str(weights) if isinstance(weights, str | Path) else None,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=asdict(machine()),
        versions=engine.describe(),
    )
    state = State(weights=initial)
    if chosen.ema is not None:
        state.ema = {name: np.array(array) for name, array in initial.items()}
    return _run(None, Path(out), chosen, info, dataset, state, progress)


def with_network(
    changes: Mapping[str, Any], weights: Source | None
) -> tuple[dict[str, Any], Source | None]:
    """Return changes of a recipe whose network may be a file, and what is started from."""
    changes = dict(changes)
    if "network" in changes:
        changes["network"] = network = opened(changes["network"])
        if weights is None and isinstance(network, Checkpoint):
            weights = network
    return changes, weights


def resume(
    run: str | Path | Run,
    *,
    data: str | Path | Dataset | None = None,
    backend: str | None = None,
    workers: int | None = None,
    compiled: bool | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a run from its newest checkpoint, as if it had never stopped.

    In the same framework, with as many threads and on the same machine the weights come out bit for
    bit as those of a run that was not interrupted. Where the version, the threads or the kernels of
    the framework are others than they were, the logger ``zoo`` warns.

    Args:
        run: its folder.
        data: where the data are now; by default where they were.
        backend: by default the one it had. Another framework takes over weights and the
            optimizer's memory.
        workers: as for `train`; by default what it had.
        compiled: likewise.
        progress: as for `train`.

    Raises:
        TrainingError: it is no run, has no checkpoint, or is finished.
        ZooError: as `train`.
    """
    found = run if isinstance(run, Run) else open_run(run)
    if found.finished:
        raise TrainingError(f"{found.path}: all {found.recipe.epochs} epochs are done")
    before, backend = found.info, backend or found.info.backend
    engine = backends.trainable(backend)
    state = load_state(found)
    source = data if data is not None else before.source
    if source is None:
        raise TrainingError(f"{found.path}: does not know its data: say where they are (--data)")
    info = replace(
        before,
        backend=backend,
        workers=before.workers if workers is None else workers,
        compiled=before.compiled if compiled is None else compiled,
        source=before.source if isinstance(source, Dataset) else str(source),
        resumed=(
            *before.resumed,
            {"backend": backend, "step": state.step, **engine.describe()},
        ),
    )
    if not isinstance(source, Dataset):
        source = open_dataset(source, labels=info.labels, skip_corrupt=info.skip_corrupt)
    _check(found.recipe, source)
    if source.classes != info.classes:
        raise TrainingError(f"{found.path}: was begun with other classes than {source.name} has")
    return _run(found, found.path, found.recipe, info, source, state, progress)


def _run(
    run: Run | None,
    path: Path,
    recipe: Recipe,
    info: RunInfo,
    data: Dataset,
    state: State,
    progress: Progress | None,
) -> Run:
    engine = backends.trainable(info.backend)
    trainer = engine.trainer(recipe.spec.graph, state.weights, recipe, compiled=info.compiled)
    if recipe.batch_size % (trainer.world * recipe.accumulate):
        raise SpecError(
            f"batch_size (={recipe.batch_size}) must be divisible by the processes "
            f"(={trainer.world}) times accumulate (={recipe.accumulate})"
        )
    assert data.train is not None
    numbers = np.arange(len(data.train))
    if not shares(numbers, recipe.batch_size, 0, trainer.world, drop_last=recipe.drop_last):
        raise TrainingError(
            f"batch_size (={recipe.batch_size}) must be at most the {len(numbers)} images, or "
            "drop_last be false"
        )
    if run is not None:
        trainer.restore(state.weights, state.slots, state.step)
    first, begun, before = trainer.rank == 0, run is None, run.info if run is not None else info
    run = Run(path, recipe, replace(info, processes=trainer.world), trainer.rank)
    if first and begun:
        start_run(run, replace(state, weights=trainer.weights(), slots=trainer.slots()))
    with alone(path) if first else nullcontext():
        if first and run.last.step != state.step:
            raise TrainingError(f"{path}: another process has gone on with it meanwhile")
        if first and not begun:
            _tell_changes(run, before)
            save_info(run)
        with (
            interrupts() as interrupt,
            Log(path, state.history, state.step) if first else nullcontext() as log,
        ):
            loop = Loop(
                run=run,
                engine=engine,
                trainer=trainer,
                feed=Loader(engine, info.pipeline, info.workers, recipe.seed),
                train=data.train,
                test=data.test,
                state=state,
                interrupt=interrupt,
                log=log,
                progress=progress if first else None,
            )
            if not loop.go():
                raise KeyboardInterrupt
    return run


def _tell_changes(run: Run, before: RunInfo) -> None:
    """Warn of what may keep a run that goes on from the bits of one that was not interrupted."""
    now = run.info.resumed[-1]
    was = before.resumed[-1] if before.resumed else {"backend": before.backend, **before.versions}
    others = [
        f"{name} (={value}) was {was[name]}"
        for name, value in now.items()
        if name != "step" and was.get(name, value) != value
    ]
    if others and now["backend"] == was.get("backend"):
        log.warning(
            "%s: %s; the bits may differ from those of a run that was not interrupted",
            run.path, ", ".join(others),
        )  # fmt: skip


def _check(recipe: Recipe, data: Dataset) -> None:
    if data.train is None:
        raise TrainingError(f"{data.name}: has no training images")
    require_fit(data.train, recipe.spec.num_classes, data.classes)
    for split, transforms in ((data.train, recipe.train), (data.test, recipe.evaluate)):
        if split is not None and len(split):
            image = apply(split.images.picture(0), transforms, np.random.default_rng(0))
            recipe.spec.graph.check_input((1, *image.shape))
