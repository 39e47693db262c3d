"""How networks for photographs begin, and what is left of that for small images.

They halve an image several times before their units see it. A stem says how many of the first
halvings are left out, whatever makes them: a convolution or the first unit of a row is at stride 1,
a pool is not there, a patch has half of its side. Layers with weights stay, so that those of one
stem fit the others; only a ResNet's and DenseNet's 7×7 is 3×3 where nothing halves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.arch.builder import GraphBuilder
from zoo.arch.later import LATER
from zoo.arch.operators import Padding
from zoo.arch.spec import Conventions, Spec

Stem = Literal["imagenet", "tiny", "cifar"]
"""For images of about 224×224, 64×64 and 32×32."""

LEFT_OUT: dict[Stem, int] = {"imagenet": 0, "tiny": 1, "cifar": 2}
"""How many of a network's halvings."""

PATCHES: dict[Stem, int] = {stem: 4 >> left_out for stem, left_out in LEFT_OUT.items()}
"""Of networks that read an image patch by patch: pixels of a side."""

PoolPadding = Literal["symmetric", "SAME_UPPER"]
"""Of a 3×3 pool at stride 2: 1 on each side, or SAME_UPPER."""

IMAGES: dict[Stem, tuple[int, int]] = {"tiny": (64, 200), "cifar": (32, 10)}
"""Stem → (pixels a side, classes) of Tiny ImageNet and CIFAR-10, which it is named after."""


@dataclass(frozen=True, kw_only=True)
class StemConventions(Conventions):
    """Conventions of a family that was written without stems, or is written today.

    Attributes:
        stem: how many halvings at the beginning are left out: none for ``"imagenet"``, one for
            ``"tiny"`` (64×64 images), two for ``"cifar"`` (32×32).
    """

    stem: Stem = field(default="imagenet", metadata=LATER)


def strides(stem: Stem, all_of_them: Iterable[int]) -> tuple[int, ...]:
    """Return a network's strides in their order, the first halvings left out as a stem says."""
    left_out = LEFT_OUT[stem]
    found: list[int] = []
    for stride in all_of_them:
        leave = stride > 1 and left_out > 0
        left_out -= leave
        found.append(1 if leave else stride)
    return tuple(found)


def padded(padding: PoolPadding) -> Padding:
    """Return what a 3×3 pool is given."""
    return "SAME_UPPER" if padding == "SAME_UPPER" else (1, 1, 1, 1)


def conv_and_pool(
    g: GraphBuilder,
    channels: Mapping[str, int],
    *,
    stem: Stem,
    pool_padding: PoolPadding,
    kernel_size: int = 3,
    small_kernel_size: int = 3,
) -> str:
    """Add convolutions with batch norm and ReLU, of which the first halves, and a max pool.

    Args:
        g: where to.
        channels: scope of each convolution → what it makes.
        stem: how much of that is left out.
        pool_padding: of the pool.
        kernel_size: of the convolutions.
        small_kernel_size: where nothing halves.
    """
    conv_stride, pool_stride = strides(stem, (2, 2))
    size = kernel_size if pool_stride > 1 else small_kernel_size
    x = g.input
    with g.scope("stem"):
        for i, (scope, made) in enumerate(channels.items()):
            with g.scope(scope):
                stride = 1 if i else conv_stride
                x = g.relu(g.conv_bn(x, made, kernel_size=size, stride=stride))
        if pool_stride > 1:
            padding = padded(pool_padding)
            x = g.max_pool(x, kernel_size=3, stride=pool_stride, padding=padding)
    return x


def told_by_kernel(shape: tuple[int, ...], known: Stem) -> Stem:
    """Return the stem of a network whose first convolution is larger than 3×3 but for CIFAR."""
    if shape[-1] == 3:
        return "cifar"
    return "imagenet" if known == "cifar" else known


def with_stem_of(wanted: Spec, found: Spec) -> Spec:
    """Return a network that weights are of with the stem that is wanted, if they are its as well.

    No name and no shape of an array tells a stride: whose weights they are has to say it.
    """
    stem = getattr(wanted.conventions, "stem", None)
    if type(wanted) is not type(found) or stem == getattr(found.conventions, "stem", None):
        return found
    other = found.replace(stem=stem)
    shapes, others = (
        {name: parameter.shape for name, parameter in spec.graph.parameters.items()}
        for spec in (found, other)
    )
    return other if others == shapes else found


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
