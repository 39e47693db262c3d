"""What OpenVINO tells about itself."""

from __future__ import annotations

import openvino as ov

from zoo.machine import cores


def describe() -> dict[str, str]:
    """Return the version and the threads of a request."""
    return {"version": ov.__version__.split("-")[0], "threads": str(cores())}
