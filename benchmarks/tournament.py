"""Launches of many engines for one network: made ready, checked, and run in turns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engines import ENGINES
from engines.base import BATCHES, Task
from recording import console
from records import Record

from zoo.bench.engine import Engine, EngineError, take_turns
from zoo.bench.worker import Job

AT_ONCE = 2
"""Engines that are built side by side: compilers keep about one processor busy each."""
TRIES = 10
"""Of a turn that other programs disturb: a ratio of a few percent needs quiet rounds."""


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        rounds: of a launch and batch; in each, every engine takes one turn.
        seconds: length of a turn; a call is never cut.
    """

    rounds: int
    seconds: float


@dataclass
class Field:
    """The engines of a network, and what is known of them.

    Attributes:
        task: what they are built for.
        environment: variables of their processes, beside ours.
        records: engine → what it did.
        skipped: engine → why it cannot run here.
        failed: engine → what went wrong: it died, or computes another function.
    """

    task: Task
    environment: dict[str, str] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def launch(self, names: Iterable[str], number: int, effort: Effort) -> None:
        """Start engines, run the rounds of a launch, and end them."""
        with self._started([name for name in names if not self.is_out(name)]) as running:
            for batch in BATCHES:
                found = take_turns(
                    {n: engine for n, engine in running.items() if self._runs(n, batch)},
                    seconds=effort.seconds * effort.rounds,
                    rounds=effort.rounds,
                    failed=self._fail,
                    tries=TRIES,
                    batch=batch,
                )
                for name, turns in found.items():
                    self.records[name].add(batch, number, turns)

    @contextmanager
    def _started(self, names: list[str]) -> Iterator[dict[str, Engine]]:
        """Give the processes of engines that are built, and have run each batch once."""
        running: dict[str, Engine] = {}
        folder = self.task.material

        def start(name: str) -> None:
            arguments = {
                "engine": name,
                "model": self.task.model,
                "threads": self.task.threads,
                "material": None if folder is None else str(folder.resolve()),
            }
            job = Job("engines.serve:network", arguments, self.task.threads)
            try:
                engine = running[name] = Engine(job, env={**os.environ, **self.environment})
                if reason := engine.started.get("skipped"):
                    self.skipped[name] = reason
                    return
                self.records.setdefault(name, Record(engine.started["parameters"]))
                for batch in ENGINES[name].batches:
                    engine.run(0.0, batch=batch)
            except EngineError as error:
                self._fail(name, error)

        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(start, [name for name in names if not ENGINES[name].alone]))
            for name in names:
                if ENGINES[name].alone:
                    start(name)
            yield {name: running[name] for name in names if not self.is_out(name)}
        finally:
            for engine in running.values():
                engine.close()

    def _runs(self, name: str, batch: int) -> bool:
        return batch in ENGINES[name].batches and not self.is_out(name)

    def _fail(self, name: str, error: EngineError) -> None:
        self.failed[name] = str(error)
        console.print(f"{name} failed: {error}\n{error.log}", style="dim", markup=False)

    def is_out(self, name: str) -> bool:
        """Return whether an engine is not to be measured."""
        return name in self.skipped or name in self.failed

    def measured(self) -> dict[str, Record]:
        """Return the records of engines that computed the right function to the end."""
        return {
            name: self.records[name]
            for name in ENGINES
            if name in self.records and not self.is_out(name) and self.records[name].turns
        }

    def summary(self) -> dict[str, Any]:
        """Return what the engines did."""
        return {
            name: {"about": ENGINES[name].about, **record.summary()}
            for name, record in self.measured().items()
        }
