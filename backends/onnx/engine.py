"""An ONNX model in ONNX Runtime, and how it takes batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from zoo.arch import INPUT, Shape
from zoo.machine import cores, saturates

CHUNK = 2
"""Images that a thread takes at a time from a batch: their values stay in its cache, and threads
need not wait for each other after every node (docs/performance.md)."""


@dataclass(frozen=True)
class Made:
    """A value that a network returns.

    Attributes:
        shape: for one image.
        fixed: whether it is the same for any images.
    """

    shape: Shape
    fixed: bool = False

    def empty(self, images: int) -> np.ndarray:
        """Return room for it."""
        rows = 1 if self.fixed else images
        return np.empty((*(rows * n for n in self.shape[:1]), *self.shape[1:]), np.float32)

    def put(self, room: np.ndarray, images: slice, value: np.ndarray) -> None:
        """Write what was made of some images to where it belongs."""
        if self.fixed:
            room[...] = value
        else:
            room[images.start * self.shape[0] : images.stop * self.shape[0]] = value


class Engine:
    """A network of a fixed image size: float32 (N, C, H, W) -> its outputs.

    All threads work on a single image; of a batch, each takes some images.

    Attributes:
        outputs: name → what it is.
    """

    def __init__(self, proto: ModelProto, outputs: dict[str, Made]) -> None:
        self.outputs = outputs
        self._model = proto.SerializeToString()
        self._sessions: dict[int, ort.InferenceSession] = {}

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network on an input that it admits."""
        workers = min(cores(), len(x))
        if workers <= 1:
            return tuple(self._session(cores()).run(list(self.outputs), {INPUT: x}))
        found = {name: made.empty(len(x)) for name, made in self.outputs.items()}
        chunk = min(CHUNK, -(-len(x) // workers))
        session = self._session(1)

        def run(first: int) -> None:
            rows = slice(first, first + chunk)
            values = session.run(list(found), {INPUT: x[rows]})
            for name, value in zip(found, values, strict=True):
                self.outputs[name].put(found[name], rows, value)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(0, len(x), chunk)))
        return tuple(found.values())

    def _session(self, workers: int) -> ort.InferenceSession:
        """Return the session whose nodes run on so many threads, started when first asked for."""
        if workers not in self._sessions:
            self._sessions[workers] = session(self._model, workers)
        return self._sessions[workers]


def session(model: str | bytes, workers: int | None = None) -> ort.InferenceSession:
    """Return ONNX Runtime's session of a model, which is a path or the bytes of a file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = workers or cores()
    if saturates():
        # ONNX Runtime's kernels for such processors lose what 16 bits do not hold, without an
        # error: of 63 photographs that a network of 8 bits should name, 39 were named. These do
        # not, and are not slower.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
