"""What kernels round is measured, and a kernel that rounds too much is a failure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import backends
from zoo.cli import app
from zoo.doctor.kernels import measure_kernels
from zoo.proof import kernels

NAMES = ("numpy", "torch", "onnx")


def test_every_operator_is_measured_on_every_backend():
    found = measure_kernels(NAMES)
    assert found.failures == ()
    assert found.summary() == "every kernel rounds as little as proofs admit: numpy, torch, onnx"
    of_torch = {kernel.operator: kernel for kernel in found.kernels if kernel.backend == "torch"}
    for backend in NAMES:
        assert {k.operator for k in found.kernels if k.backend == backend} == set(of_torch)
    assert of_torch["Concat"].error == of_torch["Concat"].admitted == 0
    for name in ("Conv2d", "BatchNorm2d", "Sigmoid", "Linear"):
        assert 1e-8 < of_torch[name].error < of_torch[name].admitted == kernels.ordinary()


def test_a_kernel_that_rounds_too_much_is_named(monkeypatch, tmp_path):
    numpy = backends.load("numpy")

    class Coarse:
        __name__ = "backends.numpy"

        def __getattr__(self, name):
            return getattr(numpy, name)

        def forward(self, *args, **kwargs):
            values, buffers = numpy.forward(*args, **kwargs)
            values["classifier"] = values["classifier"] * np.float32(1 + 1e-5)
            return values, buffers

    load = backends.load
    monkeypatch.setattr(backends, "load", lambda name: Coarse() if name == "numpy" else load(name))
    monkeypatch.setattr(backends, "BACKENDS", {"numpy": backends.BACKENDS["numpy"]})
    found = measure_kernels()
    assert [kernel.operator for kernel in found.failures] == ["Linear"]
    assert "numpy " in found.summary()
    assert ": Linear is off by " in found.summary()
    assert " of its magnitude, where 9.5e-07 is admitted" in found.summary()
    file = tmp_path / "kernels.json"
    result = CliRunner().invoke(app, ["doctor", "--kernels", "--json", str(file)])
    assert result.exit_code == 1
    assert "Linear is off by" in result.stdout
    assert json.loads(file.read_text())["kernels"][0]["backend"] == "numpy"


def test_what_is_recorded_is_within_what_proofs_admit():

    file = Path(__file__).parent.parent / "benchmarks" / "results" / "kernels.json"
    rows = json.loads(file.read_text())["kernels"]
    assert {row["backend"] for row in rows} == set(backends.BACKENDS)
    assert all(row["error"] <= row["admitted"] for row in rows)
