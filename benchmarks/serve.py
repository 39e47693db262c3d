"""The process of one engine: builds it, and runs a block of calls whenever it is asked.

``python benchmarks/serve.py torch shufflenet_v1_1.0x_g3 2`` builds the engine ``torch`` for two
threads and answers each JSON line ``{"batch": 1, "seconds": 0.5}`` with the seconds of every call
it made, at least one. With the name of a folder of ``material.py`` as a fourth argument the engine
has its weights, runs its images and tells how far the logits are from the peer's own. In between
the process sleeps.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np
from engines import ENGINES, IMAGE_SIZE
from engines.base import Network, NoPeerError, NotRunnableError, Run, Task


class Server:
    """An engine that answers requests.

    Args:
        network: what to run.
        x: images, as many as the largest batch, or more.
        logits: what they should give, where that is known.
    """

    def __init__(self, network: Network, x: np.ndarray | None, logits: np.ndarray | None) -> None:
        self.network = network
        self.x = x
        self.logits = logits
        self.random = np.random.default_rng(0)
        self.runs: dict[int, Run] = {}

    def run(self, batch: int, seconds: float | None) -> dict[str, Any]:
        """Run a block and tell about it; the first of a batch is preceded by a call uncounted.

        Args:
            batch: images a call.
            seconds: length of the block; None for that first call alone.
        """
        if batch not in self.runs:
            self.runs[batch] = self.network.bind(self._images(batch))
            times, logits = measure(self.runs[batch], 0.0)  # compiles, allocates
            if seconds is None:
                return {"times": times, "cpu": 0.0, "error": self._error(logits)}
        cpu = time.process_time()
        times, logits = measure(self.runs[batch], seconds or 0.0)
        cpu = time.process_time() - cpu
        return {"times": times, "cpu": cpu, "error": self._error(logits)}

    def _images(self, batch: int) -> np.ndarray:
        if self.x is None:
            return self.random.standard_normal((batch, 3, *IMAGE_SIZE), dtype=np.float32)
        return self.x[:batch].copy()

    def _error(self, logits: np.ndarray) -> float | None:
        """Return the largest error as a part of the largest logit."""
        if self.logits is None:
            return None
        wanted = self.logits[: len(logits)]
        if logits.dtype != np.float32:
            raise TypeError(f"the logits are {logits.dtype}, not float32")
        return float(np.abs(logits - wanted).max() / np.abs(wanted).max())


def measure(run: Run, seconds: float) -> tuple[list[float], np.ndarray]:
    """Return the seconds of each call, at least one, made in about ``seconds``; the last logits."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        logits = run()
        times.append(time.perf_counter() - start)
    return times, logits


def serve(server: Server, requests: IO[str], replies: IO[str]) -> None:
    """Answer requests until there are no more; tell also what the waiting cost."""
    end, cpu_end = time.perf_counter(), time.process_time()
    for line in requests:
        waited = {
            "waited": time.perf_counter() - end,
            "cpu_waiting": time.process_time() - cpu_end,
        }
        reply = server.run(**json.loads(line))
        end, cpu_end = time.perf_counter(), time.process_time()
        print(json.dumps(reply | waited), file=replies, flush=True)


def build(name: str, task: Task) -> Server:
    """Return the server of an engine."""
    engine = ENGINES[name]
    network = engine.build(task)
    if task.material is None:
        return Server(network, None, None)
    found = np.load(task.material / f"{engine.function}.npz")
    return Server(network, found["images"], found["logits"])


def main(name: str, task: Task) -> None:
    """Build an engine, say that it is ready (or why it cannot be) and serve."""
    # What libraries print must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        # The one limit that the thread pools of all libraries respect.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    try:
        server = build(name, task)
        print(json.dumps({"parameters": server.network.parameters}), file=replies, flush=True)
        serve(server, sys.stdin, replies)
    except (NoPeerError, NotRunnableError, ImportError) as error:
        print(json.dumps({"skipped": str(error)}), file=replies, flush=True)
    except Exception as error:  # of a library it can be any
        traceback.print_exc()
        line = next(iter(str(error).strip().splitlines()), "")
        told = f"{type(error).__name__}: {line}"
        print(json.dumps({"failed": told}), file=replies, flush=True)


if __name__ == "__main__":
    _, engine_name, model_name, thread_count, *folder = sys.argv
    main(
        engine_name,
        Task(model_name, int(thread_count), Path(folder[0]).resolve() if folder else None),
    )
