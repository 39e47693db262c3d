"""Where the images go in a file for a fixed number of them, which its shapes do not tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from backends.onnx.adopt_node import Step
from zoo.arch import Shape


@dataclass(frozen=True)
class Images:
    """The images of a value.

    Attributes:
        shape: of the value, with all images.
        axis: that they are on; -1 if it does not depend on them.
        outside: what the places of this axis are of that lie outside of them: of windows, 1.
    """

    shape: Shape
    axis: int
    outside: int = 1


def followed(step: Step, shape: Shape, read: Sequence[Images], rows: int) -> Images:
    """Return the images of a result.

    Args:
        step: what makes it.
        shape: of it, with all images.
        read: what it reads.
        rows: the number of images.
    """
    known = [given for given in read if given.axis >= 0]
    if not known:
        spread = step.kind == "expand" and rows > 1 and shape[:1] == (rows,)
        return Images(shape, 0 if spread and read and read[0].shape != shape else -1)
    given = max(known, key=lambda one: len(one.shape))
    options, rank, axis = step.options, len(given.shape), given.axis
    if step.kind in ("flatten", "reshape") and shape != given.shape:
        return _reshaped(shape, given, rows)
    if step.kind in ("permute", "transpose"):
        order = list(options["dims"])
        if step.kind == "transpose":
            a, b = order
            order = list(range(rank))
            order[a], order[b] = b, a
        axis = order.index(axis)
    elif step.kind in ("index", "select") and len(shape) != rank:
        axis += len(shape) - rank if options["dim"] % rank < axis else 0
    elif not options.get("keepdim", True):
        axis -= sum(d % rank < axis for d in options["dim"])
    else:
        axis = max(0, len(shape) - rank + axis)
    return Images(shape, axis, given.outside)


def _reshaped(shape: Shape, given: Images, rows: int) -> Images:
    """Return the images of what keeps the order of its values: as many lie outside of them."""
    outer = math.prod(given.shape[: given.axis]) * given.outside
    found = []
    for i, n in enumerate(shape):
        before = math.prod(shape[:i])
        if outer % before == 0 and (before * n) % (outer * rows) == 0:
            found.append(Images(shape, i, outer // before))
    # Of one image there are several ways: an axis of its own, or one more that is split or joined.
    joins = len(shape) < len(given.shape)
    found.sort(
        key=lambda one: (
            one.outside > 1 or shape[one.axis] != rows,
            (one.outside == 1) == joins,
        )
    )
    return found[0] if found else Images(shape, 0)
