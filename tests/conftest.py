"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

# Where MindSpore writes the graph of a failed compilation: not into the project.
os.environ.setdefault("MS_OM_PATH", str(Path(tempfile.gettempdir()) / "zoo-tests-mindspore"))
# Each of the two workers (Makefile) keeps to one core: PyTorch's threads wait for each other
# busily, and one that has to share its core holds up the others by orders of magnitude.
os.environ.setdefault("OMP_NUM_THREADS", "1")

FRAMEWORKS = ("torch", "mindspore")
RUNTIMES = ("onnx", "openvino")
BACKENDS = ("numpy", *FRAMEWORKS, *RUNTIMES)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def graph_mode():
    """Run a test in MindSpore's graph mode."""
    from backends.mindspore.run import graph_mode

    with graph_mode():
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Say how a worker of pytest-xdist ended: it itself cannot, whatever stopped it."""
    if not error:
        return
    try:
        status = node.gateway._io.popen.wait(10)
    except subprocess.TimeoutExpired:
        how = "is still there"
    else:
        how = f"ended with {signal.Signals(-status).name if status < 0 else status}"
    print(f"\n[{node.gateway.id}] {how}")
