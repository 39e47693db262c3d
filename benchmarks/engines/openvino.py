"""OpenVINO, on the peer's own export."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.base import Fastest, Network, Run, Task, exported_parameters, material, split

CHUNKS = (1, 2, 4, 8)
"""Images a request, of which the fastest is taken where a batch is run as several."""


def network(task: Task) -> Network:
    """Return the network set for latency, compiled for each batch's size."""

    def bind(x: np.ndarray) -> Run:
        model = _compile(task, x, PERFORMANCE_HINT="LATENCY")
        request = model.create_infer_request()
        return lambda: request.infer([x], share_inputs=True)[0]

    return Network(exported_parameters(task), bind)


def streams(task: Task) -> Network:
    """Return the network set for throughput: parts of the batch are requests run side by side."""

    def bind(x: np.ndarray) -> Run:
        return Fastest([_streamed(task, x, size) for size in CHUNKS])

    return Network(exported_parameters(task), bind)


def _streamed(task: Task, x: np.ndarray, size: int) -> Run:
    import openvino as ov

    parts = split(x, size)
    model = _compile(task, parts[0], PERFORMANCE_HINT="THROUGHPUT", NUM_STREAMS=task.threads)
    # One more than there are streams: the next part is ready when a stream is.
    queue = ov.AsyncInferQueue(model, task.threads + 1)
    logits = np.empty((len(x), *model.output(0).shape[1:]), np.float32)

    def keep(request: Any, i: int) -> None:
        logits[i * size : (i + 1) * size] = request.get_output_tensor(0).data

    queue.set_callback(keep)

    def run() -> np.ndarray:
        for i, part in enumerate(parts):
            queue.start_async([part], i, share_inputs=True)
        queue.wait_all()
        return logits

    return run


def _compile(task: Task, x: np.ndarray, **options: Any) -> Any:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(material(task, "peer.onnx"))
    model.reshape({0: list(x.shape)})
    fixed = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": task.threads}
    return core.compile_model(model, "CPU", fixed | options)
