"""What the tests of other people's tools share: small networks, and images unlike each other."""

from __future__ import annotations

import torch

import zoo

V1 = "shufflenet_v1_0.5x_g3_cifar"
V2 = "shufflenet_v2_0.5x_cifar"
NETWORKS = ("resnet9", V1, V2)
FEW_UNITS = {"stage_repeats": (1, 1, 1)}
STAGES = {
    "resnet9": ("conv2", "conv4", "res2"),
    V1: ("stage2", "stage3", "stage4"),
    V2: ("stage2", "stage3", "stage4"),
}
"""Network → three of its scopes that end in a feature map, the deepest last."""


def images(count=2, size=32, channels=3, seed=0):
    """Return images (count, channels, size, size) of normal noise, each of its own brightness."""
    noise = torch.randn(count, channels, size, size, generator=torch.manual_seed(seed))
    return noise + torch.linspace(-0.5, 0.7, count).view(-1, 1, 1, 1)


def made(name, **options):
    """Return a network in evaluation mode, whose values are not small as those of a new one."""
    return zoo.create(name, seed=1, **{"initialization": "fan_in"} | options).eval()


def maps(name, scopes, x, **options):
    """Return the feature maps of the network of `made`, as ``outputs=`` hands them out."""
    found = made(name, outputs=list(scopes), **options)(x)
    return dict(zip(scopes, found if isinstance(found, tuple) else (found,), strict=True))


def error(found, expected):
    """Return how far two tensors are apart at most, in terms of the largest of the second."""
    assert found.shape == expected.shape
    assert torch.isfinite(found).all()
    return ((found.double() - expected.double()).abs().max() / expected.abs().max()).item()
