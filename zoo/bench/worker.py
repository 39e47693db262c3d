"""The process of one engine: builds it, runs it once, then a block of calls whenever it is asked.

    python -m zoo.bench.worker

Its first line of input is a `Job` as JSON, which it answers with what starting took. Each line
after that, ``{"seconds": 0.5}``, is answered with the seconds of every call of a block. In between
it sleeps. What goes wrong is answered with ``{"error": ...}``, with the traceback on stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from zoo.errors import ZooError

# Libraries set up their threads when they are imported: nothing else is imported up here.


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to run.

    Attributes:
        backend: the engine.
        optimize: whether to run the form for inference, see `zoo.create`.
        network: a file of weights with the spec inside.
        images: an .npy file of float32 (N, C, H, W).
        logits: where the first call's logits go, as .npy.
        threads: processors to keep to; all that there are if not given.
    """

    backend: str
    optimize: bool
    network: str
    images: str
    logits: str
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
    """Start the engine and answer requests until there are no more."""
    if job.threads is not None and hasattr(os, "sched_setaffinity"):
        # The one limit that the thread pools of all libraries respect.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
    run, started = start(job)
    _reply(replies, started)
    for line in requests:
        cpu = time.process_time()  # of all threads
        times = measure(run, json.loads(line)["seconds"])
        cpu = time.process_time() - cpu
        _reply(replies, {"times": times, "cpu_seconds": cpu, "peak_bytes": peak_bytes()})


def start(job: Job) -> tuple[Callable[[], Any], dict[str, Any]]:
    """Import, build and run an engine once; return one call of it, and the seconds of each step."""
    begun = time.perf_counter()
    import backends

    engine = backends.load(job.backend)
    imported = time.perf_counter()
    import numpy as np

    import weights
    from zoo import models

    checkpoint, images = weights.load_weights(job.network), np.load(job.images)
    read = time.perf_counter()
    model = models.create(
        checkpoint.spec,
        backend=cast(backends.Name, job.backend),
        weights=checkpoint,
        optimize=job.optimize,
    )
    built = time.perf_counter()
    logits = engine.predict(model, images)[0]
    ran = time.perf_counter()
    np.save(job.logits, logits)
    return lambda: engine.predict(model, images), {
        "import_seconds": imported - begun,
        "build_seconds": built - read,
        "first_run_seconds": ran - built,
        "about": engine.describe(),
    }


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
