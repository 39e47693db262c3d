"""An ONNX model in ONNX Runtime."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from zoo.arch import INPUT, Shape


class Engine:
    """A network of a fixed image size: float32 (N, C, H, W) -> its outputs.

    Attributes:
        outputs: name → shape of one image's value.
    """

    def __init__(self, proto: ModelProto, outputs: dict[str, Shape]) -> None:
        self.outputs = outputs
        self._session = session(proto.SerializeToString())

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network on an input that it admits."""
        return tuple(self._session.run(list(self.outputs), {INPUT: x}))


def session(model: str | bytes) -> ort.InferenceSession:
    """Return ONNX Runtime's session of a model, which is a path or the bytes of a file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def threads() -> int:
    """Return how many processors this process may use; the run-times would count all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
