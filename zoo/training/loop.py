"""The epochs of a run: the same loop for every framework, which brings the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backends import Trainable, Trainer
from weights.canonical import Weights
from zoo.data import Split
from zoo.data.batches import epoch_order, mix_batch, targets_of
from zoo.data.draws import Stream, generator_of
from zoo.errors import TrainingError
from zoo.measures import Tally
from zoo.models import for_inference
from zoo.recipes import Recipe, values_at
from zoo.training.ema import update_ema
from zoo.training.interrupts import Interrupt
from zoo.training.loader import Loader, shares
from zoo.training.log import Log
from zoo.training.run import Run, save_checkpoint
from zoo.training.state import State

Progress = Callable[[str, int, int], None]
"""Told of every step: what is done, how much of the run, of how much."""


@dataclass
class Loop:
    """A run in this process.

    Attributes:
        run: its folder.
        engine: the backend.
        trainer: takes the steps.
        feed: where images come from.
        train, test: the data; the second may be missing.
        state: where the run is.
        interrupt: whether somebody asked it to stop.
        log: of the first process; None in the others.
        progress: for progress bars.
        evaluated: the network that is evaluated, once there is one.
    """

    run: Run
    engine: Trainable[Any]
    trainer: Trainer
    feed: Loader
    train: Split
    test: Split | None
    state: State
    interrupt: Interrupt
    log: Log | None
    progress: Progress | None
    evaluated: Any = None

    @property
    def recipe(self) -> Recipe:
        """What the run follows."""
        return self.run.recipe

    def go(self) -> bool:
        """Go on until the last epoch is done (True), or somebody asks to stop (False).

        Raises:
            TrainingError: the loss is not finite, or a checkpoint cannot be written.
        """
        while self.state.epoch < self.recipe.epochs:
            if self._epoch():
                return self.state.epoch == self.recipe.epochs
        return True

    def _epoch(self) -> bool:
        """Take an epoch, or what is left of it; return whether somebody asked to stop."""
        recipe, state, number = self.recipe, self.state, self.state.epoch + 1
        order = epoch_order(len(self.train), recipe.seed, number, shuffle=True)
        parts = shares(
            order,
            recipe.batch_size,
            self.trainer.rank,
            self.trainer.world,
            drop_last=recipe.drop_last,
        )
        steps, started, waited = recipe.epochs * len(parts), time.perf_counter(), 0.0
        before, stop = state.sums[2], False
        left = parts[state.batch :]
        # Closed whatever happens: its threads would live as long as the traceback of an error.
        with closing(self.feed(self.train, recipe.train, left, number)) as fed:
            for part in left:
                asked = time.perf_counter()
                images = next(fed)
                waited += time.perf_counter() - asked
                self._step(images, self.train.labels[part], steps, len(parts))
                stop = self._stop()
                if stop:
                    break
        seconds = time.perf_counter() - started
        if state.batch < len(parts):
            self._save()
            return True
        loss, right, count = self.trainer.sum(np.array(state.sums))
        row = {
            "epoch": number,
            "step": state.step,
            "lr": recipe.optimizer.lr
            * values_at(recipe.schedule, state.step - 1, steps, len(parts))[0],
            "loss": loss / count,
            "top1": 100 * right / count,
            **self._validate(),
            "seconds": seconds,
            "images_per_second": (state.sums[2] - before) * self.trainer.world / seconds,
            "waited": 100 * waited / seconds,
        }
        state.history.append(row)
        state.epoch, state.batch, state.sums = number, 0, [0.0, 0.0, 0.0]
        if "val_top1" in row:
            state.best_epoch = int(max(state.history, key=_accuracy)["epoch"])
        self._save()
        return stop

    def _step(self, images: np.ndarray, labels: np.ndarray, steps: int, per_epoch: int) -> None:
        recipe, state = self.recipe, self.state
        factor, momentum = values_at(recipe.schedule, state.step, steps, per_epoch)
        lr = recipe.optimizer.lr * factor
        targets = targets_of(labels, recipe.spec.num_classes, recipe.label_smoothing)
        number = state.batch * self.trainer.world + self.trainer.rank
        draw = generator_of(recipe.seed, state.epoch + 1, number, Stream.MIX)
        images, targets = mix_batch(images, targets, recipe.mix, draw)
        loss, predicted = self.trainer.step(images, targets, lr=lr, momentum=momentum)
        if not math.isfinite(loss):
            raise self._diverged(
                state.step + 1, f"the loss is {loss} at a learning rate of {lr:.3g}"
            )
        if state.ema is not None and recipe.ema is not None:
            update_ema(state.ema, self.trainer.weights(), recipe.ema, state.step)
        state.step += 1
        state.batch += 1
        right = float((predicted == labels).sum())
        for place, value in enumerate((loss * len(labels), right, float(len(labels)))):
            state.sums[place] += value
        if self.log is not None:
            row = {"step": state.step, "epoch": state.epoch + 1, "lr": lr, "loss": loss}
            self.log.step(row if momentum is None else row | {"momentum": momentum})
        if self.progress is not None:
            what = (
                f"epoch {state.epoch + 1}/{recipe.epochs}, loss {state.sums[0] / state.sums[2]:.3f}"
            )
            self.progress(what, state.step, steps)

    def _diverged(self, step: int, what: str) -> TrainingError:
        return TrainingError(
            f"epoch {self.state.epoch + 1}, step {step}: {what}; the last good checkpoint is "
            f"{self.run.last.path}. A lower optimizer.lr or a clip_norm may help"
        )

    def _validate(self) -> dict[str, float]:
        """Return loss and accuracies of the weights that are kept, on the test images."""
        if self.test is None:
            return {}
        weights = self.trainer.weights() if self.state.ema is None else self.state.ema
        model = self._model(weights)
        own = np.arange(self.trainer.rank, len(self.test), self.trainer.world)
        parts = shares(own, self.recipe.batch_size, 0, 1, drop_last=False)
        tally = Tally(self.recipe.spec.num_classes)
        with closing(self.feed(self.test, self.recipe.evaluate, parts)) as fed:
            for part, images in zip(parts, fed, strict=True):
                (logits,) = self.engine.predict(model, images)
                if not np.isfinite(logits).all():
                    told = "the outputs for test images are not finite"
                    raise self._diverged(self.state.step, told)
                tally.add(logits, self.test.labels[part])
        loss, top1, top5, count = self.trainer.sum(tally.sums())
        return {
            "val_loss": loss / count,
            "val_top1": 100 * top1 / count,
            "val_top5": 100 * top5 / count,
        }

    def _model(self, weights: Weights) -> Any:
        """Return the network in its form for inference; built once, which some compile for."""
        graph, arrays = for_inference("native")(self.recipe.spec.graph, weights)
        if self.evaluated is None:
            model = self.engine.build(graph)
            self.engine.set_parameters(model, arrays)
            self.evaluated = self.trainer.place(self.engine.freeze(model))
        else:
            self.engine.set_parameters(self.evaluated, arrays)
        return self.evaluated

    def _stop(self) -> bool:
        """Return whether any process was asked to stop: all do, or the others would wait."""
        asked = self.interrupt.asked
        return asked if self.trainer.world == 1 else bool(self.trainer.sum(np.array([asked]))[0])

    def _save(self) -> None:
        self.state = replace(
            self.state,
            weights=self.trainer.weights(),
            slots=self.trainer.slots(),
            # Of all processes, in equal parts: each goes on from the same file.
            sums=[
                float(s) for s in self.trainer.sum(np.array(self.state.sums)) / self.trainer.world
            ],
        )
        if self.log is not None:
            # The logs first: what they have too much is taken back when the run goes on.
            self.log.epoch(self.state.history)
            save_checkpoint(self.run, self.state)
        # All wait for the first: whose process returns finds the checkpoint.
        self.trainer.sum(np.zeros(1))


def _accuracy(row: dict[str, float]) -> float:
    return row.get("val_top1", -1.0)
