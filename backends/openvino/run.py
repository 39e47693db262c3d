"""The measurements of a parity proof, made by OpenVINO."""

from __future__ import annotations

import functools

from backends.onnx import run
from backends.openvino.model import Model

DTYPES = run.DTYPES
LEVELS = run.LEVELS
FUSED = run.FUSED
forward = functools.partial(run.forward, model=Model)
predict = run.predict
