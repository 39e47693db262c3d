"""What all tests share."""

from __future__ import annotations

import os

import numpy as np
import pytest

# Where MindSpore writes the graph of a failed compilation: not into the project.
os.environ.setdefault("MS_OM_PATH", "/tmp/zoo-tests-mindspore")

FRAMEWORKS = ("torch", "mindspore")
BACKENDS = ("numpy", *FRAMEWORKS)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def graph_mode():
    """Run a test in MindSpore's graph mode."""
    from backends.mindspore.run import graph_mode

    with graph_mode():
        yield
