"""How networks for photographs begin, and what is left of that for small images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import Padding
from zoo.arch.spec import Spec

Stem = Literal["imagenet", "tiny", "cifar"]
"""``"imagenet"`` halves an image twice, by a convolution and a max pool. ``"tiny"``, for 64×64, has
the convolution at stride 1; ``"cifar"``, for 32×32, a 3×3 one at stride 1 and no pool."""

PATCHES: dict[Stem, int] = {"imagenet": 4, "tiny": 2, "cifar": 1}
"""Of networks that read an image patch by patch: pixels of a side."""

PoolPadding = Literal["symmetric", "SAME_UPPER"]
"""Of a 3×3 pool at stride 2: 1 on each side, or SAME_UPPER."""

IMAGES = {"tiny": (64, 200), "cifar": (32, 10)}
"""Stem → (pixels a side, classes) of Tiny ImageNet and CIFAR-10, which it is named after."""


def padded(padding: PoolPadding) -> Padding:
    """Return what a 3×3 pool is given."""
    return "SAME_UPPER" if padding == "SAME_UPPER" else (1, 1, 1, 1)


def conv_and_pool(
    g: GraphBuilder, channels: int, *, kernel_size: int, stem: Stem, pool_padding: PoolPadding
) -> str:
    """Add a convolution with batch norm and ReLU, and a max pool, as far as a stem has them."""
    size, stride = (3 if stem == "cifar" else kernel_size), (2 if stem == "imagenet" else 1)
    with g.scope("stem"):
        x = g.relu(g.conv_bn(g.input, channels, kernel_size=size, stride=stride))
        if stem == "cifar":
            return x
        return g.max_pool(x, kernel_size=3, stride=2, padding=padded(pool_padding))


def told_by_kernel(shape: tuple[int, ...], known: Stem) -> Stem:
    """Return the stem of a network whose first convolution is larger than 3×3 but for CIFAR."""
    if shape[-1] == 3:
        return "cifar"
    return "imagenet" if known == "cifar" else known


def small(models: Mapping[str, Spec], names: Iterable[str]) -> dict[str, Spec]:
    """Return networks for small images: ``resnet18_tiny`` and ``resnet18_cifar`` of resnet18."""
    found: dict[str, Spec] = {}
    for stem, (size, classes) in IMAGES.items():
        for name in names:
            conventions: Any = models[name].conventions
            found[f"{name}_{stem}"] = dataclasses.replace(
                models[name],
                conventions=dataclasses.replace(conventions, stem=stem),
                image_size=size,
                num_classes=classes,
            )
    return found
