"""Launches of many engines for one network: made ready, checked, and run in turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from engines.base import BATCHES, Task
from engines.deploy import ENGINES
from records import Record, Round
from workers import EngineError, Worker

TOLERANCE = 1e-5
"""The error of a logit, as a part of the largest, from which an engine computes something else."""
AT_ONCE = 2
"""Engines that are built side by side: compilers keep about one processor busy each."""


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        rounds: of a launch and batch; in each, every engine runs one block.
        seconds: length of a block; a call is never cut.
        patience: seconds that may go into repeating a block that other programs disturbed.
    """

    rounds: int
    seconds: float
    patience: float


@dataclass
class Field:
    """The engines of a network, and what is known of them.

    Attributes:
        task: what they are built for.
        environment: variables of their processes.
        log: where they write what they have to say.
        records: engine → what it did.
        skipped: engine → why it cannot run here.
        failed: engine → what went wrong: it died, or computes another function.
    """

    task: Task
    environment: dict[str, str]
    log: IO[bytes]
    records: dict[str, Record] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def launch(self, names: Iterable[str], number: int, effort: Effort) -> None:
        """Start engines, run the rounds of a launch, and end them."""
        with self._started(list(names)) as workers:
            for batch in BATCHES:
                ready = [worker for worker in workers if batch in ENGINES[worker.name].batches]
                for worker in ready:
                    self._warm_up(worker, batch)
                for i in range(effort.rounds):
                    # Back and forth, so that a steady drift favors nobody.
                    for worker in ready if i % 2 == 0 else ready[::-1]:
                        self._block(worker, batch, (number, i), effort)

    @contextmanager
    def _started(self, names: list[str]) -> Iterator[list[Worker]]:
        """Give the processes of engines that are built, and have run each batch once."""
        workers: dict[str, Worker] = {}

        def start(name: str) -> None:
            with self._caught(name):
                worker = workers[name] = Worker(name, self.task, self.log, self.environment)
                if worker.skipped is not None:
                    self.skipped[name] = worker.skipped
                    return
                for batch in ENGINES[name].batches:
                    reply = worker.run(batch, None)
                    self._check(reply["error"], name, batch)

        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(start, [name for name in names if not ENGINES[name].alone]))
            for name in names:
                if ENGINES[name].alone:
                    start(name)
            yield [worker for name, worker in workers.items() if not self.is_out(name)]
        finally:
            for worker in workers.values():
                worker.close()

    def _warm_up(self, worker: Worker, batch: int) -> None:
        """Let an engine settle, with the machine for itself."""
        record = self.records.setdefault(worker.name, Record())
        if not self.is_out(worker.name) and not record.is_done(batch):
            with self._caught(worker.name):
                worker.run(batch, 0.0)

    def _block(self, worker: Worker, batch: int, round_: Round, effort: Effort) -> None:
        record = self.records[worker.name]
        if self.is_out(worker.name) or record.is_done(batch):
            return
        with self._caught(worker.name):
            worker.measure(record, batch, round_, effort.seconds, effort.patience)
            self._check(record.errors[batch], worker.name, batch)

    def is_out(self, name: str) -> bool:
        """Return whether an engine is not to be measured."""
        return name in self.skipped or name in self.failed

    def measured(self) -> dict[str, Record]:
        """Return the records of engines that computed the right function to the end."""
        return {
            name: self.records[name]
            for name in ENGINES
            if name in self.records and not self.is_out(name) and self.records[name].seconds
        }

    @contextmanager
    def _caught(self, name: str) -> Iterator[None]:
        try:
            yield
        except EngineError as error:
            self.failed[name] = str(error)

    def _check(self, error: float, name: str, batch: int) -> None:
        if not error <= TOLERANCE:  # a NaN is no good either
            raise EngineError(f"batch {batch}: the logits are off by {error:.1e} of the largest")

    def summary(self) -> dict[str, Any]:
        """Return what the engines are, and what they did."""
        return {
            name: {
                "about": ENGINES[name].about,
                "side": ENGINES[name].side,
                "runtime": ENGINES[name].runtime,
                "function": ENGINES[name].function,
                "errors": {str(b): float(f"{e:.2e}") for b, e in record.errors.items()},
                **record.summary(),
            }
            for name, record in self.measured().items()
        }
