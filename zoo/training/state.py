"""What a run needs to go on, on disk: weights, the optimizer's memory, the moving mean, counts."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import weights as canonical
from weights import formats
from weights.canonical import Weights
from zoo.arch import Spec
from zoo.errors import TrainingError
from zoo.text import numbers, read_object, require, rows, texts, whole

MODEL, STATE, COUNTS = "model.safetensors", "state.safetensors", "state.json"


@dataclass(kw_only=True)
class Counts:
    """Where a run is, as ``state.json`` says.

    Attributes:
        step: steps taken.
        epoch: epochs finished.
        batch: batches of the next epoch that are done: other than 0 in a run that was interrupted.
        sums: loss, right predictions and images of these batches.
        history: a row an epoch, as in ``epochs.csv``.
        best_epoch: the one with the highest accuracy, from 1; 0 before there is one.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0


@dataclass(kw_only=True)
class State(Counts):
    """A run at the end of a step.

    Everything that is drawn depends on the seed and on the counts, so that no state of a random
    generator has to be kept, and another framework can go on.

    Attributes:
        weights: canonical name → array.
        slots: what the optimizer remembers → parameter → array, under PyTorch's names.
        ema: the moving mean of the weights; None where the recipe has none.
    """

    weights: Weights
    slots: dict[str, Weights] = field(default_factory=dict)
    ema: Weights | None = None

    @property
    def model(self) -> Weights:
        """The weights that are evaluated and kept: the moving mean where there is one."""
        return self.weights if self.ema is None else self.ema


def save(folder: Path, state: State, spec: Spec) -> None:
    """Write a checkpoint: a folder that appears when all of it is on the disk.

    Raises:
        TrainingError: the disk is full or cannot be written to; older checkpoints are untouched.
    """
    # `load_state` clears away what has such a name.
    partial, stale = (folder.with_name(f".{folder.name}.{n}.partial") for n in ("new", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(stale, ignore_errors=True)
    arrays = {f"weights.{name}": array for name, array in state.weights.items()}
    for slot, values in state.slots.items():
        arrays |= {f"optimizer.{slot}.{name}": array for name, array in values.items()}
    if state.ema is not None:
        arrays |= {f"ema.{name}": array for name, array in state.ema.items()}
    counts = {
        "epoch": state.epoch,
        "step": state.step,
        "batch": state.batch,
        "sums": state.sums,
        "best_epoch": state.best_epoch,
        "val_top1": state.history[-1].get("val_top1") if state.history else None,
        "slots": sorted(state.slots),
        "ema": state.ema is not None,
        "history": state.history,
    }
    try:
        partial.mkdir(parents=True)
        canonical.save_weights(partial / MODEL, spec, state.model)
        formats.write(partial / STATE, arrays, {})
        with (partial / COUNTS).open("w", encoding="utf-8") as file:
            json.dump(counts, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if folder.exists():
            # Stopped twice at one step. A kill right here costs the epoch, not what was before it.
            folder.rename(stale)
        partial.rename(folder)
        shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = error.strerror or error
        raise TrainingError(
            f"{folder}: the checkpoint cannot be written ({reason}); those before it are untouched"
        ) from None


def read_counts(folder: Path) -> tuple[Counts, list[str], bool]:
    """Return the counts of a checkpoint, the names of its slots, and whether it has a moving mean.

    Raises:
        TextError: they are damaged, or no run can have them.
        OSError: they cannot be read.
    """
    fields = read_object(folder / COUNTS)
    counts = Counts(
        step=whole(fields, "step"),
        epoch=whole(fields, "epoch"),
        batch=whole(fields, "batch"),
        best_epoch=whole(fields, "best_epoch"),
        sums=numbers(fields, "sums", 3),
        history=rows(fields, "history"),
    )
    slots, ema = texts(fields, "slots"), fields.get("ema")
    require(isinstance(ema, bool), "ema", ema, "true or false")
    for name, most in (("best_epoch", counts.epoch), ("batch", counts.step)):
        value = getattr(counts, name)
        require(value <= most, name, value, f"at most {most}")
    return counts, slots, bool(ema)


def load(folder: Path, spec: Spec) -> State:
    """Return the state that `save` wrote.

    Raises:
        TrainingError: it is damaged, or of another network.
    """
    try:
        counts, slots, ema = read_counts(folder)
        _, contents = formats.read(folder / STATE)
        found = contents.entries[""]
        graph = spec.graph

        def part(prefix: str) -> Weights:
            return {
                name.removeprefix(prefix): np.array(array)
                for name, array in found.items()
                if name.startswith(prefix)
            }

        return State(
            weights=canonical.check(graph, part("weights.")),
            slots={slot: part(f"optimizer.{slot}.") for slot in slots},
            ema=canonical.check(graph, part("ema.")) if ema else None,
            **vars(counts),
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder}: the checkpoint cannot be gone on from: {error}") from None
