"""A worker's process as seen from outside, and how several of them take turns."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from zoo.bench.worker import Job
from zoo.errors import ZooError
from zoo.machine import cores

ROUNDS = 5
"""Turns of an engine: what slows the machine down for a while slows a turn of each."""
PATIENCE = 3.0
"""An engine whose turns took this many times what they should have takes no more of them."""
QUIET = 0.1
"""Cores that other programs may take from an engine in a turn; otherwise it is repeated ..."""
TRIES = 3
"""... so many times in all. The least disturbed counts: threads that wait for each other busily, as
PyTorch's do, take 5 to 200 times as long when one of them loses its core."""
PAUSE = 0.05
"""Seconds before a turn, in which the threads of the engine before fall asleep."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
"""Environment variables that libraries read their number of threads from when they are loaded."""

Key = TypeVar("Key", bound=Hashable)


class EngineError(ZooError):
    """An engine that could not be started or has failed; the process is gone or of no use.

    Attributes:
        log: what it wrote to stderr.
    """

    log = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """The calls of one turn.

    Attributes:
        times: seconds of each.
        taken: cores that other programs took from the engine meanwhile.
        account: all that its process told of it.
    """

    times: list[float]
    taken: float
    account: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        """Whether other programs left the engine alone."""
        return self.taken <= QUIET


class Engine:
    """The process of one engine.

    Attributes:
        started: what the factory of the job told of the start.
        peak_bytes: the largest resident set up to the last turn.
    """

    def __init__(
        self, job: Job, *, env: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> None:
        """Start the process and wait until the engine has run once.

        Args:
            job: what it runs.
            env: its environment, by default ours.
            timeout: seconds after which an answer is not waited for any longer.

        Raises:
            EngineError: tells why it did not start.
        """
        environment = dict(os.environ if env is None else env)
        # It finds the packages that we find, and (-P) not what lies in the current folder.
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        if job.threads is not None:
            environment |= dict.fromkeys(THREAD_VARIABLES, str(job.threads))
        self.threads = job.threads or cores()
        self.timeout = timeout
        self.peak_bytes = 0
        self._overdue = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "zoo.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        try:
            self.started = self._ask(dataclasses.asdict(job))
        except BaseException:
            self.close()
            raise

    def run(self, seconds: float, **request: Any) -> Turn:
        """Return a turn of calls for about so many seconds, of at least one.

        Args:
            seconds: how long.
            **request: what else is served takes.

        Raises:
            EngineError: it failed or died.
        """
        begun, busy = time.perf_counter(), _busy()
        reply = self._ask({"seconds": seconds, **request})
        lasted = time.perf_counter() - begun
        others = (_busy() - busy - reply["cpu_seconds"]) / lasted
        self.peak_bytes = reply["peak_bytes"]
        free = (os.cpu_count() or 1) - self.threads
        return Turn(reply["times"], round(max(others - free, 0.0), 3), reply)

    def close(self) -> None:
        """End the process, in the middle of a call if need be: it holds nothing worth keeping."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()  # frameworks take up to a second to leave by themselves
        self._process.wait()
        with contextlib.suppress(OSError):  # what it has not read
            self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(self.timeout or 0, self._give_up)
        if self.timeout is not None:
            watch.start()
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watch.cancel()
        reply: dict[str, Any] = json.loads(line) if line else {"error": self._end()}
        if "error" in reply:
            error = EngineError(reply["error"])
            error.log = self._said()
            raise error
        return reply

    def _give_up(self) -> None:
        self._overdue = True
        self._process.kill()

    def _end(self) -> str:
        """Return how the process ended, in one line."""
        status = self._process.wait()
        if self._overdue:
            return f"no answer within {self.timeout:g} s"
        how = f"with status {status}"
        if status < 0:
            how = f"by {signal.Signals(-status).name}"
        said = self._said().splitlines()
        return f"the process was ended {how}" + (f": {said[-1].strip()}" if said else "")

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()


def take_turns(
    engines: Mapping[Key, Engine],
    *,
    seconds: float,
    rounds: int = ROUNDS,
    failed: Callable[[Key, EngineError], None],
    step: Callable[[], None] = lambda: None,
    tries: int = TRIES,
    **request: Any,
) -> dict[Key, dict[int, Turn]]:
    """Run the engines in turns while the others sleep.

    Args:
        engines: by any key.
        seconds: of all turns of an engine together; a call is never cut.
        rounds: turns of each.
        failed: told of an engine that fails, which is then left out.
        step: called before each turn.
        tries: of a turn that other programs disturb.
        **request: what else the engines take.

    Returns:
        Key → number of the round → its turn, of the engines that did not fail.
    """
    turns: dict[Key, dict[int, Turn]] = {key: {} for key in engines}
    spent = dict.fromkeys(engines, 0.0)
    for i in range(-1, rounds):  # the round before the first warms up and does not count
        # Back and forth, so that a steady drift favors nobody.
        for key in list(turns) if i % 2 == 0 else list(turns)[::-1]:
            step()
            if spent[key] > PATIENCE * seconds:
                continue
            try:
                if i < 0:
                    engines[key].run(0.0, **request)
                    continue
                turns[key][i] = least_disturbed(engines[key], seconds / rounds, tries, **request)
                spent[key] += sum(turns[key][i].times)
            except EngineError as error:
                failed(key, error)
                del turns[key]
    return turns


def least_disturbed(engine: Engine, seconds: float, tries: int = TRIES, **request: Any) -> Turn:
    """Return a turn in which other programs left the engine alone, as far as there is one.

    Raises:
        EngineError: it failed or died.
    """
    found: list[Turn] = []
    while len(found) < tries and not (found and found[-1].quiet):
        time.sleep(PAUSE)
        found.append(engine.run(seconds, **request))
        if sum(found[-1].times) > PATIENCE * seconds:  # a slow one: its calls are not repeated
            break
    return min(found, key=lambda turn: turn.taken)


def undisturbed(turns: Mapping[Key, Turn]) -> list[Turn]:
    """Return the turns that other programs left alone; all, if there are none."""
    return [turn for turn in turns.values() if turn.quiet] or list(turns.values())


def speeds(ours: Mapping[Key, Turn], theirs: Mapping[Key, Turn]) -> tuple[list[float], int, int]:
    """Return how many times as fast an engine is as another, within each round that both ran.

    Rounds that were disturbed are left out where there are others.

    Returns:
        The ratios, how many rounds both ran, and how many of those were quiet.
    """
    both = [i for i in ours if i in theirs]
    quiet = [i for i in both if ours[i].quiet and theirs[i].quiet]
    ratios = [median(theirs[i].times) / median(ours[i].times) for i in quiet or both]
    return ratios, len(both), len(quiet)


def _busy() -> float:
    """Return the seconds of processor time that all programs have used so far."""
    import psutil

    kinds = ("user", "nice", "system", "irq", "softirq", "steal")
    times = psutil.cpu_times()
    return sum(getattr(times, kind, 0.0) for kind in kinds)
