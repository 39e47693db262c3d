"""What a network looks at, by pytorch-grad-cam and captum: they hook stages, and units in them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from captum.attr import (
    DeepLift,
    GuidedBackprop,
    IntegratedGradients,
    LayerActivation,
    LayerGradCam,
    LayerIntegratedGradients,
)
from ecosystem_material import NETWORKS, STAGES, V1, V2, error, images, made, maps
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

CLASSES = [4, 7]
PLACES = [(name, scope) for name in NETWORKS for scope in STAGES[name]]

# Both tell that they set gradients and hooks, and unset them afterwards.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Input Tensor 0 did not already require gradients", "ignore:Setting .* hooks"
)


def of_class(logits):
    return logits[torch.arange(len(CLASSES)), CLASSES]


def cam_by_hand(name, scope, x):
    """Return maps before the ReLU, from our feature map and the network cut by hand."""
    value = maps(name, [scope], x)[scope].detach().requires_grad_()
    rest = value
    children = list(made(name).named_children())
    position = [child for child, _ in children].index(scope)
    for child, module in children[position + 1 :]:
        rest = module(rest.flatten(1) if child == "classifier" else rest)
    (slope,) = torch.autograd.grad(of_class(rest).sum(), value)
    return (slope.mean((2, 3), keepdim=True) * value).sum(1, keepdim=True).detach()


def scaled_by_hand(cam, size):
    """Return maps as pytorch-grad-cam shows them: from 0 to 1, as large as the image."""

    def scaled(cam):
        cam = cam - cam.amin((1, 2), keepdim=True)
        return cam / (cam.amax((1, 2), keepdim=True) + 1e-7)

    small = scaled(cam.relu()[:, 0]).numpy()
    return scaled(torch.tensor(np.stack([cv2.resize(c, (size, size)) for c in small])))


@pytest.mark.sweep(quick=["*-stage3", "*-res2"])
@pytest.mark.parametrize(("name", "scope"), PLACES)
def test_pytorch_grad_cam_of_a_stage(name, scope):
    x, model = images(), made(name)
    targets = [ClassifierOutputTarget(c) for c in CLASSES]
    with GradCAM(model, [model.get_submodule(scope)]) as cam:
        found = torch.tensor(cam(x, targets))
        (seen,) = cam.activations_and_grads.activations
    # It keeps the value itself: whoever writes into it afterwards would be found here.
    assert torch.equal(seen, maps(name, [scope], x)[scope])
    expected = scaled_by_hand(cam_by_hand(name, scope, x), x.shape[-1])
    assert expected.max() > 0.5
    assert error(found, expected) < 1e-4


@pytest.mark.parametrize("name", [V1, V2])
def test_pytorch_grad_cam_of_the_last_unit(name):
    x, model = images(), made(name)
    targets = [ClassifierOutputTarget(c) for c in CLASSES]
    found = []
    for layer in (model.stage4[-1], model.stage4, model.stage4[0]):
        with GradCAM(model, [layer]) as cam:
            found.append(cam(x, targets))
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=0.05)


@pytest.mark.sweep(quick=["*-stage3", "*-res2"])
@pytest.mark.parametrize(("name", "scope"), PLACES)
def test_captum_of_a_stage(name, scope):
    x, model = images(), made(name)
    layer = model.get_submodule(scope)
    assert torch.equal(LayerActivation(model, layer).attribute(x), maps(name, [scope], x)[scope])
    cam = LayerGradCam(model, layer).attribute(x, CLASSES).detach()
    assert error(cam, cam_by_hand(name, scope, x)) < 1e-4
    difference = of_class(model(x) - model(0 * x)).detach()
    shares = LayerIntegratedGradients(model, layer).attribute(x, target=CLASSES, n_steps=16)
    assert error(shares.sum((1, 2, 3)).detach(), difference) < 1e-3


@pytest.mark.sweep(quick=["*-shufflenet_v2_0.5x_cifar"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", [IntegratedGradients, DeepLift])
def test_what_pixels_share_adds_up_to_the_difference_of_the_logits(name, method):
    x, model = images(), made(name)
    difference = of_class(model(x) - model(0 * x)).detach()
    steps = {"n_steps": 24} if method is IntegratedGradients else {}
    shares = method(model).attribute(x, 0 * x, target=CLASSES, **steps)
    assert shares.shape == x.shape
    assert error(shares.sum((1, 2, 3)).detach(), difference) < 1e-3
    # Not because one pixel has it all: each channel of each image has a part.
    assert shares.abs().sum((2, 3)).min() > 0.05 * shares.abs().sum((2, 3)).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_guided_backpropagation_reaches_every_relu(name):
    x, model = images(), made(name)
    found = GuidedBackprop(model).attribute(x, CLASSES)
    x.requires_grad_()
    (plain,) = torch.autograd.grad(of_class(model(x)).sum(), x)
    assert found.shape == x.shape
    assert not torch.allclose(found, plain, rtol=0.1)
    guides = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda *_: guides.append(1))
    model(x)
    assert len(guides) == sum(type(n.op).__name__ == "ReLU" for n in model.zoo_graph.nodes)
