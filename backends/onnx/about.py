"""What ONNX Runtime tells about itself."""

from __future__ import annotations

import onnx
import onnxruntime as ort

from zoo.machine import cores


def describe() -> dict[str, str]:
    """Return the versions and the threads of an operator."""
    return {"version": ort.__version__, "threads": str(cores()), "onnx": onnx.__version__}
