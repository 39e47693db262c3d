"""The process of an engine, and what is kept of the blocks it ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, Any

SCRIPT = Path(__file__).parent / "engines.py"
PATIENCE = 4.0
"""An engine whose calls take more seconds than this runs SLOW_BLOCKS blocks and no more."""
SLOW_BLOCKS = 2
QUIET = 0.1
"""Cores that other programs may keep busy during a block; otherwise it is repeated ..."""
RETRY_SECONDS = 15.0
"""... until this much time went into it; then the least disturbed try counts, and is told of."""
PAUSE = 0.05
"""Seconds before a block, in which the threads of the engine before fall asleep."""

Round = tuple[int, int]
"""(launch, round in it)."""


@dataclass
class Record:
    """What is known of an engine so far."""

    parameters: int = 0
    seconds: dict[int, dict[Round, float]] = field(default_factory=dict)
    """Batch → round → median seconds of a call."""
    others: dict[int, dict[Round, float]] = field(default_factory=dict)
    """Batch → round → cores that other programs kept busy during the block."""
    waited: float = 0.0
    cpu_waiting: float = 0.0

    def is_quiet(self, batch: int, round_: Round) -> bool:
        """Return whether other programs left the processor alone during a block."""
        return self.others[batch][round_] <= QUIET

    def is_done(self, batch: int) -> bool:
        """Return whether the engine is so slow that it has run enough blocks."""
        times = self.seconds.get(batch, {}).values()
        # The fastest, because a fast engine may be slow for a while that others disturb.
        return len(times) >= SLOW_BLOCKS and min(times) > PATIENCE

    def summary(self) -> dict[str, Any]:
        """Return what goes into the results; its medians are over the quiet blocks, if any."""
        calls = {}
        for batch, times in self.seconds.items():
            quiet = [call for round_, call in times.items() if self.is_quiet(batch, round_)]
            calls[batch] = median(quiet or times.values())
        return {
            "parameters": self.parameters,
            "milliseconds": {str(b): round(1e3 * call, 3) for b, call in calls.items()},
            "images_per_second": {str(b): round(b / call, 2) for b, call in calls.items()},
            "blocks": {
                str(batch): [
                    {
                        "launch": launch,
                        "round": i,
                        "milliseconds": round(1e3 * call, 3),
                        "cores_used_by_others": round(self.others[batch][launch, i], 3),
                    }
                    for (launch, i), call in times.items()
                ]
                for batch, times in self.seconds.items()
            },
            "cores_used_while_waiting": round(self.cpu_waiting / max(self.waited, 1e-9), 4),
        }


class Worker:
    """The process of one engine; it sleeps on its standard input until it is asked for a block.

    Attributes:
        skipped: why the engine cannot be measured, if so.
    """

    def __init__(self, name: str, model: str, threads: int, log: IO[bytes]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), name, model, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        about = self._reply()
        self.skipped: str | None = about.get("skipped")
        self.parameters: int = about.get("parameters", 0)

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the engine {self.name} died")
        return json.loads(line)

    def run(self, batch: int, seconds: float) -> dict[str, Any]:
        """Run one block and return the engine's account of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self._reply()

    def measure(self, record: Record, batch: int, round_: Round, seconds: float) -> None:
        """Record the median call of a block; of several, the one that others disturbed least."""
        tries: list[tuple[float, float]] = []
        end = time.perf_counter() + RETRY_SECONDS
        while not tries or (tries[-1][0] > QUIET and time.perf_counter() < end):
            time.sleep(PAUSE)
            start, busy = time.perf_counter(), _busy()
            reply = self.run(batch, seconds)
            others = (_busy() - busy - reply["cpu"]) / (time.perf_counter() - start)
            tries.append((others, median(reply["times"])))
            record.waited += reply["waited"]
            record.cpu_waiting += reply["cpu_waiting"]
        others, call = min(tries)
        record.parameters = self.parameters
        record.others.setdefault(batch, {})[round_] = others
        record.seconds.setdefault(batch, {})[round_] = call

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
