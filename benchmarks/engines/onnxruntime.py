"""ONNX Runtime, on the peer's own export."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from engines.base import Fastest, Network, Run, Task, exported_parameters, material, split

CHUNKS = (1, 2, 4)
"""Images a request, of which the fastest is taken where a batch is run as several."""


def network(task: Task) -> Network:
    """Return a session over all threads; the batch's size is fixed, which helps a little."""

    def bind(x: np.ndarray) -> Run:
        session = _session(task, len(x), task.threads)
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: x})[0]

    return Network(exported_parameters(task), bind)


def streams(task: Task) -> Network:
    """Return a run of parts of the batch in as many streams of one thread as there are threads."""

    def bind(x: np.ndarray) -> Run:
        pool = ThreadPoolExecutor(task.threads)
        return Fastest([_streamed(task, x, size, pool) for size in CHUNKS])

    return Network(exported_parameters(task), bind)


def _streamed(task: Task, x: np.ndarray, size: int, pool: ThreadPoolExecutor) -> Run:
    session = _session(task, size, 1)  # sessions may be run by several threads at once
    name = session.get_inputs()[0].name
    parts = split(x, size)

    def run() -> np.ndarray:
        return np.concatenate(
            list(pool.map(lambda part: session.run(None, {name: part})[0], parts))
        )

    return run


def _session(task: Task, batch: int, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_free_dimension_override_by_name("batch", batch)
    return ort.InferenceSession(
        material(task, "peer.onnx"), options, providers=["CPUExecutionProvider"]
    )
