"""The process of one engine: makes what it serves, and calls that whenever it is asked.

    python -m zoo.bench.worker

Its first line of input is a `Job` as JSON, which it answers with what its factory tells. Each after
that holds the arguments of a call, such as ``{"seconds": 0.5}``, and is answered with what the
call returns. In between it sleeps. What goes wrong is answered with ``{"error": ...}``, with the
traceback on stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zoo.errors import ZooError

# Libraries set up their threads when they are imported: nothing else is imported up here.


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to run.

    Attributes:
        factory: ``"module:function"`` that is called in the process. It returns what is served and
            what is to be told of the start. What is served takes the fields of a request and
            returns its account: ``times``, the seconds of each call, and whatever else.
        arguments: of the factory, by name, as JSON has them.
        threads: processors to keep to; all that there are if not given.
    """

    factory: str
    arguments: Mapping[str, Any]
    threads: int | None = None


def main() -> None:
    """Serve until the input ends."""
    # What libraries print must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        serve(Job(**json.loads(sys.stdin.readline())), sys.stdin, replies)
    except Exception as error:  # of a framework it can be any
        traceback.print_exc()
        _reply(replies, {"error": told(error)})


def serve(job: Job, requests: IO[str], replies: IO[str]) -> None:
    """Make what is served and answer requests until there are no more."""
    if job.threads is not None and hasattr(os, "sched_setaffinity"):
        # The one limit that the thread pools of all libraries respect.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
    module, _, name = job.factory.partition(":")
    served, started = getattr(importlib.import_module(module), name)(**job.arguments)
    _reply(replies, started)
    asleep, cpu = time.perf_counter(), time.process_time()  # the latter of all threads
    for line in requests:
        waited = {"seconds": time.perf_counter() - asleep, "cpu_seconds": time.process_time() - cpu}
        cpu = time.process_time()
        reply = served(**json.loads(line)) | {"waited": waited}
        reply |= {"cpu_seconds": time.process_time() - cpu, "peak_bytes": peak_bytes()}
        asleep, cpu = time.perf_counter(), time.process_time()
        _reply(replies, reply)


def measure(run: Callable[[], Any], seconds: float) -> list[float]:
    """Return the seconds of each call, at least one, made in about ``seconds``."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return times


def peak_bytes() -> int:
    """Return the largest resident set that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there a new process begins with the peak of the one that started it.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import psutil

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))  # macOS tells the present one only


def told(error: BaseException) -> str:
    """Return an error in one line."""
    line = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, ZooError):
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _reply(replies: IO[str], reply: dict[str, Any]) -> None:
    print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
