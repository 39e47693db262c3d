"""Recorded, fused, quantized, exported: what PyTorch's own ways out of Python make of a network."""

from __future__ import annotations

import copy

import onnxruntime
import pytest
import torch
from ecosystem_material import FEW_UNITS, NETWORKS, V1, V2, error, images, made
from torch import nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.fx.experimental.optimization import fuse
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

import zoo

EIGHT_BITS = 0.15
"""How far 8 bits lead here at most: a few images, random weights, and ten to sixty layers."""

CONVENTIONS = [
    (name, conventions)
    for name in ("shufflenet_v1_0.5x_g3", "shufflenet_v2_0.5x")
    for conventions in zoo.spec(name).presets
]
DYNAMIC = torch.export.Dim.DYNAMIC
FREE = {0: DYNAMIC, 2: DYNAMIC, 3: DYNAMIC}
"""Of the axes of images, those that may be of any size: all but the channels."""


def count(model, kind):
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_fx_fuses_every_batch_norm(name):
    model, x = made(name), images()
    fused = fuse(model)
    assert count(model, nn.BatchNorm2d) > 7
    assert count(fused, nn.BatchNorm2d) == 0
    with torch.no_grad():
        assert 0 < error(fused(x), model(x)) < 1e-5


@pytest.mark.filterwarnings("ignore")  # it says that PyTorch will do without it some day
@pytest.mark.parametrize("name", NETWORKS)
def test_fx_quantization(name):
    model, x = made(name), images(8)
    prepared = prepare_fx(copy.deepcopy(model), get_default_qconfig_mapping("x86"), (x,))
    with torch.no_grad():
        prepared(x)
        quantized = convert_fx(prepared)
        assert 0 < error(quantized(x), model(x)) < EIGHT_BITS
    layers = [m for m in quantized.modules() if "quantized" in type(m).__module__]
    weighted = count(model, nn.Conv2d | nn.Linear)
    assert sum(hasattr(layer, "scale") and hasattr(layer, "weight") for layer in layers) == weighted


@pytest.mark.sweep(quick=["shufflenet_v2_0.5x_cifar"])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [V1, V2])
def test_quantization_of_an_exported_program(name):
    model, x = made(name), images(8)
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(model, (x,)).module(), quantizer)
    with torch.no_grad():
        prepared(x)
        quantized = convert_pt2e(prepared)
        assert 0 < error(quantized(x), model(x)) < EIGHT_BITS
    targets = [str(node.target) for node in quantized.graph.nodes]
    assert sum("quantize_per_tensor" in target for target in targets) > 20


def few(name, conventions):
    return made(name, conventions=conventions, num_classes=10, **FEW_UNITS)


@pytest.mark.sweep(quick=["shufflenet_v1_0.5x_g3-megvii"])
@pytest.mark.parametrize(("name", "conventions"), CONVENTIONS)
def test_an_exported_program_takes_images_of_every_size(name, conventions):
    model = few(name, conventions)
    program = torch.export.export(model, (images(2, 96),), dynamic_shapes=(FREE,)).module()
    for rows, height, width in ((1, 96, 96), (3, 97, 131), (2, 127, 90)):
        x = images(rows, 160)[:, :, :height, :width]
        with torch.no_grad():
            assert error(program(x), model(x)) < 1e-6


@pytest.mark.sweep(quick=["*-False"])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(("name", "conventions"), [c for c in CONVENTIONS if "mindcv" in c])
def test_onnx_files_of_both_exporters_take_images_of_every_size(
    name, conventions, dynamo, tmp_path
):
    model, file = few(name, conventions), str(tmp_path / "net.onnx")
    axes = {"dynamic_shapes": (FREE,)} if dynamo else {"dynamic_axes": {"x": [0, 2, 3]}}
    torch.onnx.export(
        model, (images(2, 96),), file, dynamo=dynamo, input_names=["x"], verbose=False, **axes
    )
    session = onnxruntime.InferenceSession(file)
    for x in (images(1, 96), images(3, 131)[:, :, :97]):
        (found,) = session.run(None, {"x": x.numpy()})
        assert error(torch.from_numpy(found), model(x).detach()) < 1e-5
