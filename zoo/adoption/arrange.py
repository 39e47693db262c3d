"""What views of a value mean: its axes as products of factors, in any order.

A program may move the images away from axis 0 and back, cut an axis into two, join others and take
a part of one. None of it is carried out here: a value is followed as an `Arranged`, and only where
something computes with it are a reshape, a permutation and a reshape made of all that came before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zoo.arch import Shape


@dataclass(frozen=True, eq=False, slots=True)
class Factor:
    """A factor of an axis.

    Attributes:
        size: of it; of the images for one image.
        images: whether it is the images.
    """

    size: int
    images: bool = False


Axis = tuple[Factor, ...]


@dataclass(frozen=True, eq=False)
class Arranged:
    """A value as a program sees it.

    Attributes:
        source: the value that it is a view of; its images, if any, are outermost.
        stored: the factors of each axis of the source, those of size 1 left out.
        shape: of the source, for one image.
        axes: the factors of each axis as the program has them.
    """

    source: str
    stored: tuple[Axis, ...]
    shape: Shape
    axes: tuple[Axis, ...]

    @property
    def order(self) -> list[Factor]:
        """The factors as they lie in the source."""
        return [factor for axis in self.stored for factor in axis]

    @property
    def seen(self) -> Shape:
        """The shape that the program sees."""
        return tuple(map(size_of, self.axes))

    @property
    def images(self) -> int:
        """The axis that holds the images; -1 for a value that does not depend on them."""
        found = [i for i, axis in enumerate(self.axes) if any(f.images for f in axis)]
        return found[0] if found else -1

    @property
    def is_settled(self) -> bool:
        """Whether the images are outermost, or there are none."""
        return self.images < 0 or (self.images == 0 and self.axes[0][0].images)

    @property
    def is_source(self) -> bool:
        """Whether the program sees the source as it is."""
        flat = [factor for axis in self.axes for factor in axis]
        return flat == self.order and self.seen == self.shape


def solid(name: str, shape: Shape, images: bool) -> Arranged:
    """Return a value as it is."""
    axes = tuple(
        tuple(([Factor(1, True)] if images and i == 0 else []) + ([Factor(n)] if n > 1 else []))
        for i, n in enumerate(shape)
    )
    return Arranged(name, axes, shape, axes)


def size_of(axis: Sequence[Factor]) -> int:
    """Return how long an axis is."""
    return math.prod(factor.size for factor in axis)


def permuted(x: Arranged, dims: Sequence[int]) -> Arranged:
    """Return a value with its axes in another order."""
    return replace(x, axes=tuple(x.axes[i] for i in dims))


def reshaped(x: Arranged, shape: Shape, images: int) -> Arranged | None:
    """Return a value with axes of other lengths; None where they do not go through its factors.

    Args:
        x: the value.
        shape: the new one.
        images: the axis of the images in it.
    """
    left = [factor for axis in x.axes for factor in axis]
    axes: list[Axis] = []
    for i, length in enumerate(shape):
        size = length
        axis: list[Factor] = []
        waiting = i == images
        while size > 1 or waiting:
            if not left:
                return None
            factor = left.pop(0)
            if factor.images != (factor.images and i == images):
                return None
            if size % factor.size:
                if factor.size % size or size == 1:
                    return None
                parts = Factor(size), Factor(factor.size // size)
                x = _split(x, factor, parts)
                left.insert(0, parts[1])
                factor = parts[0]
            elif factor.size > size:
                return None
            axis.append(factor)
            size //= factor.size
            waiting = waiting and not factor.images
        axes.append(tuple(axis))
    return None if left else replace(x, axes=tuple(axes))


def _split(x: Arranged, factor: Factor, parts: tuple[Factor, ...]) -> Arranged:
    stored = tuple(
        tuple(f for found in axis for f in (parts if found is factor else (found,)))
        for axis in x.stored
    )
    return replace(x, stored=stored)


def without(x: Arranged, dim: int) -> Arranged:
    """Return a value without an axis, which is of size 1."""
    return replace(x, axes=(*x.axes[:dim], *x.axes[dim + 1 :]))


def apart(x: Arranged, factor: Factor) -> tuple[list[Axis], int]:
    """Return the stored axes cut so that a factor is one, and which it is."""
    cut: list[Axis] = []
    at = 0
    for axis in x.stored:
        if factor not in axis:
            cut.append(axis)
            continue
        i = axis.index(factor)
        parts = [axis[:i], (factor,), axis[i + 1 :]]
        kept = [part for part in parts if part]
        at = len(cut) + kept.index((factor,))
        cut += kept
    return cut, at


def groups(x: Arranged) -> tuple[list[Axis], list[int]]:
    """Return the stored factors in runs that stay together, and the order that is wanted of them.

    Runs end where an axis does, before or after.
    """
    order = x.order
    place = {id(factor): i for i, factor in enumerate(order)}
    home = {id(f): i for i, axis in enumerate(x.stored) for f in axis}
    runs: list[list[Factor]] = []
    for axis in x.axes:
        for i, factor in enumerate(axis):
            before = axis[i - 1] if i else None
            together = (
                before is not None
                and place[id(before)] + 1 == place[id(factor)]
                and home[id(before)] == home[id(factor)]
            )
            if together:
                runs[-1].append(factor)
            else:
                runs.append([factor])
    stored = sorted(runs, key=lambda run: place[id(run[0])])
    return [tuple(run) for run in stored], [stored.index(run) for run in runs]
