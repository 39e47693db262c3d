"""The folder that a run leaves behind: its recipe, what it ran on, its logs, its checkpoints."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from zoo.errors import OutputError, TrainingError, ZooError
from zoo.files import scratch
from zoo.output import write
from zoo.recipes import Recipe
from zoo.text import MAX_BYTES, TextError, read_numbers
from zoo.training import state as states
from zoo.training.info import RunInfo

RECIPE, INFO, EPOCHS, STEPS = "recipe.json", "run.json", "epochs.csv", "steps.csv"
CHECKPOINTS = "checkpoints"


@dataclass(kw_only=True)
class CheckpointInfo(states.Counts):
    """A checkpoint in a run's folder, and where the run was.

    Attributes:
        path: its folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The file of weights, which `load` and every command takes."""
        return self.path / states.MODEL


@dataclass(frozen=True, repr=False)
class Run:
    """A run on disk, finished or not.

    Attributes:
        path: its folder.
        recipe: what it follows.
        info: backend, data, classes, machine, versions, as in ``run.json``.
        process: which of those that trained it together this one is, from 0.
    """

    path: Path
    recipe: Recipe
    info: RunInfo
    process: int = 0

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.info.classes

    @property
    def epochs(self) -> list[dict[str, float]]:
        """A row an epoch: losses, accuracies in percent, learning rate, seconds."""
        return _rows(self.path / EPOCHS)

    @property
    def steps(self) -> list[dict[str, float]]:
        """A row a step: learning rate, momentum, loss."""
        return _rows(self.path / STEPS)

    @property
    def checkpoints(self) -> list[CheckpointInfo]:
        """What is saved, oldest first."""
        found = []
        for folder in (self.path / CHECKPOINTS).glob("[!.]*"):
            try:
                counts, _, _ = states.read_counts(folder)
            except (OSError, TextError) as error:
                raise TrainingError(f"{folder}: is no checkpoint: {error}") from None
            found.append(CheckpointInfo(path=folder, **vars(counts)))
        return sorted(found, key=lambda saved: saved.step)

    @property
    def last(self) -> CheckpointInfo:
        """The newest checkpoint; a run that has only begun has what it starts from.

        Raises:
            TrainingError: somebody removed them.
        """
        if not self.checkpoints:
            raise TrainingError(f"{self.path}: has no checkpoint")
        return self.checkpoints[-1]

    @property
    def best(self) -> CheckpointInfo:
        """The checkpoint of the highest accuracy; the newest where nothing was evaluated.

        Raises:
            TrainingError: somebody removed them.
        """
        last = self.last
        found = [s for s in self.checkpoints if s.epoch == last.best_epoch and not s.batch]
        return found[0] if last.best_epoch and found else last

    @cached_property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return bool(self.checkpoints) and self.last.epoch >= self.recipe.epochs


def open_run(path: str | Path) -> Run:
    """Return the run in a folder.

    Raises:
        TrainingError: it is none, or its files are damaged.
    """
    path = Path(path)
    if not (path / RECIPE).is_file():
        raise TrainingError(f"{path}: is no run: it has no {RECIPE}")
    try:
        recipe = Recipe.from_json((path / RECIPE).read_text(encoding="utf-8"))
        with (path / INFO).open("rb") as file:
            info = RunInfo.from_json(file.read(MAX_BYTES + 1))
    except (OSError, ValueError, ZooError) as error:
        raise TrainingError(f"{path}: the run cannot be read: {error}") from None
    return Run(path, recipe, info)


def require_new(path: Path) -> None:
    """Raise `TrainingError` where a new run would write over something."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TrainingError(
            f"{path}: exists and is kept; give another folder, or go on with it: "
            f"zoo train --resume {path}"
        )
    if path.resolve() == Path.cwd():
        # Its folder comes into place by being renamed, from under the process that stands in it.
        raise TrainingError(f"{path}: is the folder that this runs in; give one inside it")


def start_run(run: Run, state: states.State) -> None:
    """Make the folder of a new run, with what it starts from as its first checkpoint.

    The folder appears when all of it is there, so that a run can be gone on with whenever its
    process was killed.

    Raises:
        TrainingError: there is something in it already, or it cannot be written to.
    """
    require_new(run.path)
    try:
        with scratch(run.path) as partial:
            (partial / CHECKPOINTS).mkdir()
            (partial / INFO).write_text(run.info.to_json(), encoding="utf-8")
            (partial / RECIPE).write_text(run.recipe.to_json(), encoding="utf-8")
            save_checkpoint(replace(run, path=partial), state)
            require_new(run.path)
            partial.rename(run.path)
    except OutputError as error:
        raise TrainingError(str(error)) from None


def save_info(run: Run) -> None:
    """Write ``run.json`` anew: whole or not at all, as a run without it is none.

    Raises:
        TrainingError: the disk is full or cannot be written to.
    """
    try:
        write(run.path / INFO, run.info.to_json().encode())
    except OutputError as error:
        raise TrainingError(str(error)) from None


def save_checkpoint(run: Run, state: states.State) -> None:
    """Write a checkpoint and remove those that are no longer kept."""
    folder = run.path / CHECKPOINTS
    name = f"step-{state.step:07d}" if state.batch else f"epoch-{state.epoch:04d}"
    states.save(folder / name, state, run.recipe.spec)
    finished = [saved for saved in run.checkpoints if not saved.batch]
    kept = {saved.epoch for saved in finished[-run.recipe.keep :]}
    if state.best_epoch:
        kept.add(state.best_epoch)
    for saved in run.checkpoints:
        if saved.step < state.step and (saved.batch or saved.epoch not in kept):
            shutil.rmtree(saved.path, ignore_errors=True)


def load_state(run: Run) -> states.State:
    """Return the newest state, and clear away what a process that was killed left behind.

    Raises:
        TrainingError: it is damaged.
    """
    for partial in (run.path / CHECKPOINTS).glob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    return states.load(run.last.path, run.recipe.spec)


def _rows(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    try:
        return read_numbers(path)
    except (OSError, TextError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from None
