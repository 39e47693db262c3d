"""The process of an engine, as who asks it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import IO, Any

from engines.base import Task
from records import QUIET, Record, Round

SCRIPT = Path(__file__).parent / "serve.py"
RETRY_SECONDS = 15.0
"""A disturbed block is repeated until this much time went into it; then the least disturbed try
counts, and is told of."""
PAUSE = 0.05
"""Seconds before a block, in which the threads of the engine before fall asleep."""


class EngineError(RuntimeError):
    """An engine died, or told why it cannot go on."""


class Worker:
    """The process of one engine; it sleeps on its standard input until it is asked for a block.

    Attributes:
        skipped: why the engine cannot be measured, if so.
    """

    def __init__(
        self, name: str, task: Task, log: IO[bytes], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        arguments = [name, task.model, str(task.threads)]
        arguments += [] if task.material is None else [str(task.material)]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        about = self._reply()
        self.skipped: str | None = about.get("skipped")
        self.parameters: int = about.get("parameters", 0)

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EngineError(f"the engine {self.name} died")
        reply = json.loads(line)
        if "failed" in reply:
            raise EngineError(f"the engine {self.name} failed: {reply['failed']}")
        return reply

    def run(self, batch: int, seconds: float | None) -> dict[str, Any]:
        """Run one block and return the engine's account of it; None: its first call alone."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self._reply()

    def measure(
        self,
        record: Record,
        batch: int,
        round_: Round,
        seconds: float,
        patience: float = RETRY_SECONDS,
    ) -> None:
        """Record the median call of a block; of several, the one that others disturbed least."""
        tries: list[tuple[float, float]] = []
        end = time.perf_counter() + patience
        while not tries or (tries[-1][0] > QUIET and time.perf_counter() < end):
            time.sleep(PAUSE)
            start, busy = time.perf_counter(), _busy()
            reply = self.run(batch, seconds)
            others = (_busy() - busy - reply["cpu"]) / (time.perf_counter() - start)
            tries.append((others, median(reply["times"])))
            record.waited += reply["waited"]
            record.cpu_waiting += reply["cpu_waiting"]
            if reply["error"] is not None:
                record.errors[batch] = max(record.errors.get(batch, 0.0), reply["error"])
        others, call = min(tries)
        record.parameters = self.parameters
        record.add(batch, round_, call, others)

    def close(self) -> None:
        """End the process: it stops when its input does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def _busy() -> float:
    """Return the seconds of processor time used so far by all programs, 0 where that is unknown."""
    if not Path("/proc/stat").exists():
        return 0.0
    ticks = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_guests = map(int, ticks)
    total = user + nice + system + irq + softirq + steal
    return total / os.sysconf("SC_CLK_TCK")
