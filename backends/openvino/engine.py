"""An OpenVINO model, and how it takes batches."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import openvino as ov
from onnx import ModelProto

from backends.onnx.engine import Made
from zoo.machine import cores

CHUNK = 2
"""Images that a thread takes at a time from a batch: their values stay in its cache, and threads
need not wait for each other after every node (docs/performance.md)."""


class Engine:
    """A network of a fixed image size: float32 (N, C, H, W) -> its outputs.

    All threads work on a single image; of a batch, each takes some images. A call waits for one
    that another thread of Python has begun.

    Attributes:
        outputs: name → what it is.
    """

    def __init__(self, proto: ModelProto, outputs: dict[str, Made]) -> None:
        self.outputs = outputs
        self._core = ov.Core()
        self._source = self._core.read_model(proto.SerializeToString())
        self._requests: dict[tuple[int, bool], list[Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network on an input that it admits."""
        found = {name: made.empty(len(x)) for name, made in self.outputs.items()}
        workers = cores()
        chunk = min(CHUNK, -(-len(x) // workers))
        whole = len(x) // chunk * chunk if len(x) else 0
        with self._lock:
            self._run(x[:whole], chunk, found, 0)
            self._run(x[whole:], len(x) - whole, found, whole)
        return tuple(found.values())

    def _run(self, x: np.ndarray, chunk: int, found: dict[str, np.ndarray], start: int) -> None:
        """Run images in chunks of one size, each chunk on one thread unless it is the only one."""
        if not len(x):
            return
        requests = self._prepared(chunk, len(x) > chunk)
        if len(x) == chunk:  # on this thread: handing a single image to another one takes time
            requests[0].set_input_tensor(ov.Tensor(x, shared_memory=True))
            requests[0].infer()
            self._collect(requests[0], slice(start, start + chunk), found)
            return
        waiting: list[tuple[Any, slice]] = []
        for i, first in enumerate(range(0, len(x), chunk)):
            request = requests[i % len(requests)]
            if len(waiting) == len(requests):
                waiting[0][0].wait()
                self._collect(*waiting.pop(0), found)
            # The memory of x is read where it is: x outlives the request.
            request.set_input_tensor(ov.Tensor(x[first : first + chunk], shared_memory=True))
            request.start_async()
            waiting.append((request, slice(start + first, start + first + chunk)))
        for request, rows in waiting:
            request.wait()
            self._collect(request, rows, found)

    def _collect(self, request: Any, rows: slice, found: dict[str, np.ndarray]) -> None:
        for name, array in found.items():
            self.outputs[name].put(array, rows, request.get_tensor(name).data)

    def _prepared(self, chunk: int, many: bool) -> list[Any]:
        """Return requests for chunks of a size, compiled for that size when first asked for."""
        if (chunk, many) not in self._requests:
            settings: dict[str, Any] = {
                # On processors with bfloat16 units it would round to it without being asked.
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": cores(),
                "NUM_STREAMS": cores() if many else 1,
            }
            model = self._source.clone()
            model.reshape([chunk, *list(model.input().partial_shape)[1:]])
            compiled = self._core.compile_model(model, "CPU", settings)
            # One more than there are threads: the next chunk is ready when a thread is.
            count = cores() + 1 if many else 1
            self._requests[chunk, many] = [compiled.create_infer_request() for _ in range(count)]
        return self._requests[chunk, many]
