"""Sources of networks that others published: alone, strict, equal bits, clean, and short."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from test_adopt import randomized

import backends
import zoo
from zoo.arch import Graph, Node
from zoo.arch.operators import Add, Conv2d, ReLU
from zoo.families.graph import GraphSpec

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from sources import ALONE, tried  # noqa: E402

LINES = {"mnasnet0_5": 200, "mobilenet_v3_small": 240, "resnet50": 200}


def complaints(file):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode else ""


@pytest.mark.sweep(quick=["mnasnet0_5"])
@pytest.mark.parametrize("name", LINES)
def test_it_is_the_network_and_short(name, tmp_path, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other initial weights some day
        module = randomized(getattr(torchvision.models, name)(weights=None)).eval()
    net = zoo.adopt(module, example=(2, 3, 64, 64), name=name)
    assert net.recognized is not None  # as one of ours, whose names are others
    x = torch.from_numpy(rng.standard_normal((2, 3, 64, 64)).astype(np.float32))
    file = zoo.write_source(net, tmp_path / "written.py")
    assert complaints(file) == ""
    assert len(file.read_text().splitlines()) < LINES[name]
    space: dict = {"__name__": "written"}
    exec(compile(file.read_text(), "written", "exec"), space)
    model = zoo.create(net).eval()
    alone = space[type(zoo.create(net.as_read)).__name__]().eval()
    alone.load_state_dict(module.state_dict(), strict=True)  # under their own names
    assert set(net.theirs).isdisjoint(module.state_dict())
    with torch.no_grad():
        assert torch.equal(alone(x), model(x))
        assert (alone(x) - module(x)).abs().max() < 5e-6 * module(x).abs().max()


def test_what_is_not_clean_is_noticed(tmp_path):
    """The negative control."""
    (tmp_path / "written.py").write_text("import os\n\n\ndef f():\n    return undefined\n")
    assert "F401" in complaints(tmp_path / "written.py")
    assert "F821" in complaints(tmp_path / "written.py")


SMALL = (
    "densenet121", "efficientnet_b0", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1",
)  # fmt: skip
"""All are in benchmarks/results/sources.json. MindSpore refuses a .ckpt that is larger than the
memory that is free, which does not count what the system's cache would give back: of 500 MB on a
machine of 16 GB as well. So only small ones are tried wherever the tests run."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SMALL)
def test_it_stands_alone_in_both_frameworks(name):
    found = tried(name)
    assert "refused" not in found, found
    for backend in ALONE:
        row = found[backend]
        assert "failed" not in row, row
        assert row["alone"]
        assert row["equal_bits"]
        assert row["ruff"] == []
        assert row["error"] < 1e-5


def test_what_was_measured_is_enough():
    networks = json.loads((BENCHMARKS / "results" / "sources.json").read_text())["networks"]
    done = {name: row for name, row in networks.items() if "refused" not in row}
    strict = [row for row in done.values() if "missing" not in row["torch"]]  # their own state
    assert len(strict) >= 20
    assert len({row["family"] for row in strict}) >= 10
    for row in done.values():
        for backend in ALONE:
            assert row[backend]["alone"]
            assert row[backend]["equal_bits"]
            assert row[backend]["ruff"] == []
    assert done["resnet50"]["torch"]["lines"] < 200 > done["resnet50"]["mindspore"]["lines"]


# ── Scopes that are nodes, and run in the middle of others ───────────────────────────────────────


def conv(channels=3):
    return Conv2d(
        in_channels=3, out_channels=channels, kernel_size=(1, 1), stride=(1, 1),
        padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True,
    )  # fmt: skip


SCOPES = {
    "node, then its scope": (
        ("a.b", ReLU(), "input"), ("a.b.c", conv(), "a.b"), ("a.b.d", ReLU(), "a.b.c"),
    ),
    "scope around its node": (
        ("a.b.c", conv(), "input"), ("a.b", ReLU(), "a.b.c"), ("a.b.d", conv(4), "a.b"),
    ),
    "others in the middle": (
        ("a.b.c", ReLU(), "input"), ("x", conv(), "a.b.c"), ("a.b", ReLU(), "x"),
        ("a.b.e", conv(), "a.b"),
    ),
    "others in the middle of a branch": (
        ("a.x.c", conv(), "input"), ("y", conv(), "a.x.c"), ("a.x", ReLU(), "y"),
        ("a.x.e", conv(), "a.x"), ("a.z", Add(), "a.x.e y"),
    ),
    "a name that a node would get": (
        ("a", ReLU(), "input"), ("a.b", ReLU(), "a"), ("a.b.c", ReLU(), "a.b"),
        ("a.b_", conv(), "a.b.c"), ("a_", conv(), "a.b_"),
    ),
}  # fmt: skip


@pytest.mark.sweep(quick=["*-torch"])
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("rows", SCOPES.values(), ids=SCOPES)
def test_a_node_may_be_a_scope(backend, rows, rng):
    nodes = tuple(Node(name, op, tuple(reads.split())) for name, op, reads in rows)
    spec = GraphSpec.of(Graph(3, (4, 4), nodes, (rows[-1][0],)), "net")
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    (wanted,) = backends.load("numpy").predict(zoo.create(spec, backend="numpy"), x)
    model = zoo.create(spec, backend=backend)
    (found,) = backends.load(backend).predict(model, x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
