"""One table of operators, driven through every backend: values, training mode, gradients, split."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKENDS, FRAMEWORKS, RUNTIMES
from operator_places import PLACES, kinds, missing
from operator_table import SIZES, TABLE, arrays_for, conv, network

import backends
import weights
from zoo.arch import Operator
from zoo.arch.operators import Dropout, Linear, Pool, ReLU, ReLU6, Window
from zoo.passes import split_group_conv
from zoo.proof.measure import relative_maximum


@pytest.fixture(params=list(TABLE))
def op(request):
    return TABLE[request.param]


def test_no_place_forgets_an_operator():
    assert not missing(PLACES, kinds())


def test_the_page_on_operators_names_every_place():
    page = Path(__file__).parent.parent / "docs" / "adding_an_operator.md"
    assert not [place for place in PLACES if place not in page.read_text()]


def test_a_place_that_forgets_one_or_keeps_a_stranger_is_told():
    known = {ReLU, Dropout}
    places = {"a": lambda: known, "b": lambda: {ReLU}, "c": lambda: {ReLU, Dropout, Linear}}
    assert missing(places, known) == ["b: has no Dropout", "c: has Linear, which is no operator"]
    assert missing({"a": set}, known) == ["a: has no Dropout", "a: has no ReLU"]
    assert {ReLU6, Linear, Dropout} < kinds()
    assert not kinds() & {Operator, Window, Pool}


def mode(name, size):
    """Compiling is what takes MindSpore's time: images of one size run in PyNative mode."""
    if name == "mindspore" and size == SIZES[1]:
        from backends.mindspore.run import pynative

        return pynative()
    return contextlib.nullcontext()


# Each size has gradients in one mode.
@pytest.mark.sweep(quick=["*-torch-*", "*-onnx-*", "*-odd"])
@pytest.mark.parametrize("size", SIZES, ids=["even", "odd"])
@pytest.mark.parametrize("name", [*FRAMEWORKS, *RUNTIMES])
def test_values_and_gradients_equal_the_float64_reference(name, op, size, rng):
    engine, numpy, torch = (backends.load(n) for n in (name, "numpy", "torch"))
    graph = network(op, size)
    arrays = arrays_for(graph)
    x = rng.standard_normal((3, 3, *size)).astype(np.float32)
    y = np.array([0, 3, 1])
    for training in (False, True):
        if training and (isinstance(op, Dropout) or name in RUNTIMES):
            continue  # masks are the framework's own: see test_dropout
        exact = numpy.forward(graph, arrays, x, training=training, dtype="float64")
        with mode(name, size):
            found = engine.forward(graph, arrays, x, training=training, dtype="float32")
        for a, b in zip(found, exact, strict=True):
            errors = {key: relative_maximum(a[key], b[key]) for key in a}
            assert max(errors.values(), default=0) < 2e-6, (training, errors)
        if training == (size == SIZES[1]) or name in RUNTIMES:
            continue
        _, exact = torch.gradients(graph, arrays, x, y, training=training, dtype="float64")
        with mode(name, size):
            _, found = engine.gradients(graph, arrays, x, y, training=training, dtype="float32")
        scale = max(np.abs(g).max() for g in exact.values())
        for key, gradient in exact.items():
            assert np.abs(found[key] - gradient).max() < 5e-6 * scale, (training, key)


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.kinks])
def test_activations_see_values_of_every_region(name, rng):
    """A kink that nothing comes to could be anywhere: ReLU6 would be ReLU."""
    for size, training in itertools.product(SIZES, (False, True)):
        graph = network(TABLE[name], size)
        x = rng.standard_normal((3, 3, *size)).astype(np.float32)
        values, _ = backends.load("numpy").forward(
            graph, arrays_for(graph), x, training=training, dtype="float64"
        )
        seen = values["stem.bn"]
        for low, high in TABLE[name].regions:
            assert ((low < seen) & (seen < high)).mean() > 0.01, (low, high)


@pytest.mark.parametrize("training", [False, True])
def test_relu_in_the_place_of_relu6_is_seen(training):
    found = []
    for op in (ReLU6(), ReLU()):
        graph = network(op, SIZES[0])
        x = np.random.default_rng(0).standard_normal((3, 3, *SIZES[0])).astype(np.float32)
        arrays = arrays_for(network(ReLU6(), SIZES[0]))
        _, gradients = backends.load("torch").gradients(
            graph, arrays, x, np.array([0, 3, 1]), training=training, dtype="float64"
        )
        values, _ = backends.load("torch").forward(
            graph, arrays, x, training=training, dtype="float64"
        )
        found.append((values["tested"], gradients["stem.conv.weight"]))
    for one, other in zip(*found, strict=True):
        assert relative_maximum(one, other) > 1e-2


@pytest.mark.sweep(quick=["torch", "onnx", "openvino"])
@pytest.mark.parametrize("name", BACKENDS)
def test_split_group_convolution_is_the_same_function(name, rng):
    engine = backends.load(name)
    for key in ("group conv 1x1", "group conv 3x3, bias"):
        graph = network(TABLE[key], (9, 8))
        arrays = weights.randomize(graph)
        split, split_arrays = split_group_conv(graph, arrays)
        assert len(split.nodes) > len(graph.nodes)
        x = rng.standard_normal((2, 3, 9, 8)).astype(np.float32)
        whole, _ = engine.forward(graph, arrays, x, training=False, dtype="float32")
        parts, _ = engine.forward(split, split_arrays, x, training=False, dtype="float32")
        assert relative_maximum(parts["tested"], whole["tested"]) < 1e-6


@pytest.mark.parametrize("of", ["value", "channel"])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_dropout_zeroes_and_scales_in_training(name, of, rng, graph_mode):
    engine = backends.load(name)
    images, size = (2, 32) if of == "value" else (128, 4)
    graph = network(Dropout(p=0.4, of=of), (size, size))
    arrays = weights.randomize(graph)
    x = rng.standard_normal((images, 3, size, size)).astype(np.float32)
    values, _ = engine.forward(graph, arrays, x, training=True, dtype="float32")
    dropped = values["tested"] == 0
    assert 0.36 < dropped.mean() < 0.44
    if of == "channel":
        assert (dropped.all((2, 3)) == dropped.any((2, 3))).all()
    kept = values["stem.bn"] / 0.6
    np.testing.assert_allclose(values["tested"][~dropped], kept[~dropped], rtol=1e-5)


THINNED = [
    conv((3, 3), (2, 2), (1, 1, 1, 1), groups=12),
    conv((3, 5), (2, 3), (0, 2, 0, 2), groups=12, bias=True, dilation=(2, 1)),
]


@pytest.mark.parametrize("op", [*THINNED, TABLE["group conv 3x3, bias"]])
def test_a_trainers_depthwise_convolutions_with_a_stride_are_the_same_function(op, rng):
    import torch

    from backends.torch.model import build
    from backends.torch.parameters import set_parameters
    from backends.torch.strided import ThinnedConv2d, thin

    for size in [*SIZES, (11, 10)]:
        graph = network(op, size)
        found = []
        for change in (lambda module: module, thin):
            module = build(graph)
            set_parameters(module, weights.randomize(graph))
            layer = change(module.double()).get_submodule("tested")
            x = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 12, *size)))
            x.requires_grad_()
            y = layer(x)
            (
                y * torch.from_numpy(np.random.default_rng(4).standard_normal(y.shape))
            ).sum().backward()
            found.append([y, x.grad, *(p.grad for p in layer.parameters())])
        # only depthwise ones gain by it
        assert isinstance(layer, ThinnedConv2d) == (op in THINNED)
        for there, here in zip(*found, strict=True):
            assert relative_maximum(here.detach().numpy(), there.detach().numpy()) < 1e-14
