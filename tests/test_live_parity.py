"""`zoo.parity` of live models: as they are in the user's hands, hooks and all."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import BACKENDS
from torch import nn
from torch.optim.swa_utils import AveragedModel

import zoo
from zoo.errors import ZooError
from zoo.proof.case import make_case

NAME = "shufflenet_v2_0.5x_cifar"
BOTH = ["torch", "mindspore"]


@pytest.fixture(scope="module")
def case():
    return make_case(zoo.spec(NAME).graph, seed=0, images=None, weights=None, steps=2)


@pytest.fixture(scope="module")
def model(case):
    return zoo.create(NAME, weights=case.weights[False])


def proven(model, case, **options):
    backend = type(model).__module__.partition(".")[0]
    known = ["mindspore"] if backend == "mindspore" else ["torch"]
    return zoo.parity(model, images=case.images, **{"backends": known} | options)


def of(report, measure):
    return next(f for f in report.findings if "live" in f.backend and f.measure == measure)


@pytest.mark.sweep(quick=["torch", "onnx"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_as_it_was_made_is_proven(case, backend):
    live = zoo.create(NAME, backend=backend, weights=case.weights[False])
    report = proven(live, case, backends=[backend])
    assert report.passed, report.summary()
    assert report.model == NAME
    # The network it was made of is proven beside it.
    assert {f.backend for f in report.findings} == {backend, f"{backend} (live)"}
    measures = {f.measure for f in report.findings if "live" in f.backend}
    assert {"names and shapes", "every node"} < measures
    assert ("each operator" in measures) == (backend in BOTH)


WAYS = {
    "in training mode": lambda m: m.train(),
    "compiled": lambda m: torch.compile(m, backend="eager"),
    "averaged": AveragedModel,
    "split": lambda m: zoo.create(NAME, weights=zoo.get_weights(m), group_conv="split"),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_around_it(case, model, way):
    live = WAYS[way](copy.deepcopy(model))
    modes = [m.training for m in live.modules()]
    report = proven(live, case)
    assert report.passed, report.summary()
    assert [m.training for m in live.modules()] == modes
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in live.modules())


def scaled(by):
    return lambda module, inputs, output: output * by


MISTAKES = {
    # What is changed → the node that is named: the one that made it, or its first reader.
    "a hook on a layer": (
        lambda m: m.stage3[1].compress.bn.register_forward_hook(scaled(1 + 1e-5)),
        "stage3.1.compress.bn",
    ),
    "a hook on a stage": (
        lambda m: m.stage3.register_forward_hook(scaled(1 + 1e-5)),
        "stage4.0.compress.conv",
    ),
    "a hook before a unit": (
        lambda m: m.stage2[2].register_forward_pre_hook(lambda _, inputs: (inputs[0] * 1.001,)),
        "stage2.2.shuffle",
    ),
    "a forward of the user's": (
        lambda m: setattr(m.stage2[0].relu, "forward", nn.functional.elu),
        "stage2.0.relu",
    ),
    "compiled before it was changed": (
        lambda m: m.stage3[1].register_forward_hook(scaled(1.001)),
        "stage3.1.concat",
    ),
}


@pytest.mark.sweep(quick=["a forward of the user*"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_changes_values_is_named(case, model, mistake):
    live = copy.deepcopy(model)
    if mistake.startswith("compiled"):
        live.compile(backend="eager")
    change, node = MISTAKES[mistake]
    change(live)
    report = proven(live, case)
    assert not report.passed
    named = of(report, "each operator").diverges_at or of(report, "every node").diverges_at
    assert named == node
    assert all(f.passed for f in report.findings if "live" not in f.backend)


def larger(cell, inputs, output):
    return output * 1.001


def test_hooks_of_mindspore(case):
    live = zoo.create(NAME, backend="mindspore", weights=case.weights[False])
    live.stage3[1].compress.bn.register_forward_hook(larger)
    report = proven(live, case)
    assert of(report, "each operator").diverges_at == "stage3.1.compress.bn"


def test_its_own_weights_are_what_is_proven(case, model):
    live = copy.deepcopy(model)
    with torch.no_grad():
        live.stem.bn.weight[3] = 0
    report = proven(live, case)
    assert any("stem.bn" in gap for gap in report.gaps)
    assert not report.passed


BAD = {
    "weights beside it": (
        dict(weights="w.pth"),
        "weights must not be given with a live model, which has its own",
    ),
    "other classes": (dict(num_classes=3), "num_classes cannot be changed in a live model"),
    "the form for inference": (
        dict(optimize=True),
        "optimize must not be asked of a live model: it is proven as it is",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_a_live_model_does_not_admit(model, bad):
    options, message = BAD[bad]
    with pytest.raises(ZooError) as error:
        zoo.parity(model, backends=["torch"], **options)
    assert str(error.value) == message


def test_models_that_are_not_whole_or_not_of_float32(model):
    part = zoo.create(NAME, outputs=["stage2"])
    with pytest.raises(ZooError, match=r"\(optimize=\): only whole networks are proven$"):
        zoo.parity(part, backends=["torch"])
    half = copy.deepcopy(model).to(torch.bfloat16)
    with pytest.raises(
        ZooError, match=r"^stem\.conv\.weight: dtype \(=bfloat16\) must be float32 in"
    ):
        zoo.parity(half, backends=["torch"], images=np.ones((2, 3, 32, 32), np.float32))
