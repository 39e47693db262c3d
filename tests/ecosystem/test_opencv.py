"""OpenCV's DNN, as the strictest reader of our ONNX files: what it takes, it must compute."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from catalog_rows import EACH_KIND, small
from onnx import ModelProto
from operator_table import SIZES, TABLE, network

import backends
import weights as arrays
import zoo
from backends.onnx import operators
from zoo.arch import Graph
from zoo.arch.operators import AvgPool2d, HardSigmoid
from zoo.models import realization
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)

TOLERANCE = 5e-6
engine = backends.load("onnx")


def images(graph: Graph) -> np.ndarray:
    count = well_conditioned_batch(graph)
    return well_conditioned_images(graph, count, np.random.default_rng(0))


def read_by_opencv(proto: ModelProto, x: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(proto.SerializeToString(), np.uint8))
    net.setInput(x)
    return net.forward(proto.graph.output[0].name)


def error(graph: Graph, *forms: bool) -> float:
    """Return how far OpenCV is from the float64 reference, optimized or not, at most."""
    x = images(graph)
    weights = well_conditioned_weights(graph, x, 1, training=False)
    reference = backends.load("numpy")
    model = reference.build(graph)
    reference.set_parameters(model, weights)
    (exact,) = reference.predict(model, x)
    found = [
        read_by_opencv(engine.emit(*realization("native", optimize)(graph, weights)), x)
        for optimize in forms or (False,)
    ]
    return float(max(np.abs(values - exact).max() for values in found) / np.abs(exact).max())


REFUSED = {
    "pad and crop": "paddings[i].first >= 0",
    "transposed group conv, dilated": "Gemm",  # it takes no notice of the dilation
}
"""Row → what OpenCV says."""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", TABLE)
def test_operators(name: str, size: tuple[int, int]) -> None:
    if name in REFUSED:
        with pytest.raises(cv2.error, match=re.escape(REFUSED[name])):
            error(network(TABLE[name], size))
    else:
        assert error(network(TABLE[name], size)) <= TOLERANCE


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3_cifar", "*v2_0.5x_cifar", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_networks(name: str) -> None:
    # V3's gates read means of maps that hardly vary, and multiply what float32 loses.
    gated = 10 if name.startswith("mobilenet_v3") else 1
    assert error(small(name).graph, False, True) <= gated * TOLERANCE


@pytest.mark.sweep(quick=["64-*"])
@pytest.mark.parametrize("conventions", zoo.spec("shufflenet_v1_0.5x_g3").presets)
@pytest.mark.parametrize("size", [64, (70, 95)], ids=str)
def test_conventions(conventions: str, size: int | tuple[int, int]) -> None:
    graph = zoo.spec("shufflenet_v1_0.5x_g3", conventions=conventions).graph
    graph = replace(graph, image_size=(size, size) if isinstance(size, int) else size)
    assert error(graph) <= TOLERANCE


def as_an_attribute(e, node, op, shape) -> None:
    window = operators._window(op, shape)
    e.add("AveragePool", node.name, node.inputs, ceil_mode=0, count_include_pad=1, **window)


def test_padding_that_an_attribute_counts_is_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: what every other reader computes, and OpenCV without an error not."""
    monkeypatch.setitem(operators.OPERATORS, AvgPool2d, ("AveragePool", as_an_attribute))
    assert error(zoo.spec("shufflenet_v1_0.5x_g3", image_size=64).graph) > 1e-2


def test_a_product_with_a_hard_sigmoid_is_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = operators._plain("HardSigmoid", alpha=1 / 6, beta=0.5)
    monkeypatch.setitem(operators.OPERATORS, HardSigmoid, ("HardSigmoid", plain))
    with pytest.raises(cv2.error, match="Inconsistent shape for ConcatLayer"):
        error(zoo.spec("shufflenet_v2_plus_small", image_size=64).graph)


RUN = {
    name: zoo.spec(name, image_size=64)
    for name in ("shufflenet_v1_0.5x_g3", "shufflenet_v2_plus_small")
}


@pytest.mark.parametrize("name", RUN)
def test_run_times_make_one_node_of_what_is_written_as_two(name: str, tmp_path: Path) -> None:
    graph = RUN[name].graph
    proto = engine.emit(graph, arrays.randomize(graph))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node)
    assert kinds["Conv"]
    assert not {"Pad", "Identity"} & kinds.keys()
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU")
    layers = Counter(
        op.get_rt_info()["layerType"].astype(str) for op in compiled.get_runtime_model().get_ops()
    )
    assert layers["Convolution"]
    assert not {"Pad", "Identity"} & layers.keys()
