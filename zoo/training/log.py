"""Logs of a run: CSV for every tool there is, event files for TensorBoard."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoo.errors import TrainingError
from zoo.output import write
from zoo.training.run import EPOCHS, STEPS

EPOCH_FIELDS = (
    "epoch", "step", "lr", "loss", "top1", "val_loss", "val_top1", "val_top5", "seconds",
    "images_per_second", "waited",
)  # fmt: skip
STEP_FIELDS = ("step", "epoch", "lr", "momentum", "loss")


class Log:
    """Rows that are on the disk at the end of each epoch; a context manager.

    What a killed process wrote beyond its last checkpoint is taken back at the start.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]], step: int) -> None:
        """Open the logs of a run that has come to a step, and has had these epochs."""
        self.folder = folder
        self.rows: list[Mapping[str, Any]] = []
        kept = _kept(folder / STEPS, step) if step else []
        with _told(folder):
            _write(folder / EPOCHS, EPOCH_FIELDS, history)
            _write(folder / STEPS, STEP_FIELDS, kept)
            self.board = _board(folder)
            if self.board is not None and step:
                self.board.add_event(_restart(step))

    def step(self, row: Mapping[str, float]) -> None:
        """Note a step."""
        self.rows.append(row)

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write the steps that were noted, and all epochs so far.

        Raises:
            TrainingError: the disk is full.
        """
        with _told(self.folder):
            with (self.folder / STEPS).open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, STEP_FIELDS, restval="").writerows(self.rows)
            _write(self.folder / EPOCHS, EPOCH_FIELDS, history)
            if self.board is not None:
                self._draw(history[-1] if history else {})
        self.rows = []

    def _draw(self, epoch: Mapping[str, float]) -> None:
        for row in self.rows:
            values = {f"step/{name}": row[name] for name in ("lr", "loss")}
            self.board.add_event(_event(int(row["step"]), values))
        values = {f"epoch/{name}": v for name, v in epoch.items() if math.isfinite(v)}
        if epoch:
            self.board.add_event(_event(int(epoch["step"]), values))
        self.board.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.board is not None:
            # On a full disk this fails as well, and the first error is the one to tell.
            with suppress(OSError):
                self.board.close()


def _kept(path: Path, step: int) -> list[dict[str, str]]:
    """Return the rows up to a step; a line that the kill cut in two has no number."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]
        return [row for row in rows if int(row["step"]) <= step]
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from None


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(
            f"{folder}: the logs cannot be written ({reason}); the checkpoints are untouched"
        ) from None


def _write(path: Path, fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fields, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write(path, text.getvalue().encode())


def _board(folder: Path) -> Any:
    """Return a writer of TensorBoard's files; None where its package is not installed."""
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ModuleNotFoundError:
        return None
    return EventFileWriter(str(folder / "tensorboard"))


def _event(step: int, values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=found))


def _restart(step: int) -> Any:
    """Return what tells TensorBoard to forget what a killed process drew after a step."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    return Event(
        wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)
    )
