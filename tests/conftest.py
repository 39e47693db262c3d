"""What all tests share."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

# Where MindSpore writes the graph of a failed compilation: not into the project.
os.environ.setdefault("MS_OM_PATH", str(Path(tempfile.gettempdir()) / "zoo-tests-mindspore"))
# Each of the two workers (Makefile) keeps to one core: PyTorch's threads wait for each other
# busily, and one that has to share its core holds up the others by orders of magnitude.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Importing MindSpore asks for Protobuf's implementation in Python, here and in processes started
# from here, unless one was chosen: how fast ONNX files are read would depend on the order of tests.
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "upb")

FRAMEWORKS = ("torch", "mindspore")
RUNTIMES = ("onnx", "openvino")
BACKENDS = ("numpy", *FRAMEWORKS, *RUNTIMES)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """A hub of our own, for the client in this process; its cache and ours are empty."""
    from hub_server import hub, point_to

    with hub() as running:
        point_to(running.url, monkeypatch, tmp_path)
        yield running


@pytest.fixture
def graph_mode():
    """Run a test in MindSpore's graph mode."""
    from backends.mindspore.run import graph_mode

    with graph_mode():
        yield


class Calls:
    count = 0


@contextmanager
def calls():
    """Count the calls of functions: what costs too much shows on every machine, however busy."""
    made = Calls()

    def seen(frame, event, _):
        made.count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        yield made
    finally:
        sys.setprofile(None)


class Tier:
    quick = False


def pytest_configure(config):
    Tier.quick = config.option.markexpr == "not exhaustive"


def examples(count):
    """Return how many examples hypothesis draws: in `make test` a tenth, where each is costly."""
    return max(3, count // 10) if Tier.quick else count


COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""All that pytest found, before any of it was left out."""


def pytest_addoption(parser):
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run files and tests at random")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what `make test` leaves to `make test-all` (tests/test_tiers.py)."""
    config.stash[COLLECTED] = list(items)
    for item in items:
        sweep = item.get_closest_marker("sweep")
        if sweep and not any(fnmatchcase(item.callspec.id, row) for row in sweep.kwargs["quick"]):
            item.add_marker(pytest.mark.exhaustive)
    seed = config.getoption("--shuffle")
    if seed is not None:
        files = [list(found) for _, found in groupby(items, lambda item: item.path)]
        draw = random.Random(seed)
        for found in (files, *files):
            draw.shuffle(found)
        items[:] = [item for found in files for item in found]


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
