"""What the work of a proof can show, and what it cannot.

A comparison shows a mistake only if some value depends on what is mistaken. A hard swish without
its upper clip is right up to 3; a tap of a filter that sees nothing but zeros may have any weight;
statistics of 0 and 1 need not be read at all. What of this holds for a network, its weights and its
images is told from the values of the float64 reference, which are there anyway.

Not asked for is what no images could show: an offset of a window that sees nothing but padding at
this size, a region below zero of what is never negative, or padding with zeros in the place of
minus infinity behind a ReLU, where both are the same function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from backends.numpy.operators import apply
from zoo.arch import INPUT, Graph, Node
from zoo.arch.operators import Add, BatchNorm2d, Conv2d, GroupNorm, LayerNorm, MaxPool2d
from zoo.proof.flow import unreached
from zoo.proof.kernels import ordinary
from zoo.proof.local import in_units, magnitude
from zoo.proof.seen import Told, blind_offsets, channels, scale_of, statistics

Arrays = Mapping[str, np.ndarray]

FEWEST, SHARE = 8, 1e-4
"""Values that each region of an activation must hold, and share of all: fewer, and what a backend
does to some of its values (the rest of a vector, an edge of a tile) may leave them out."""
CROWDED = 16
"""Of fewer values than 8 times this, one in so many is enough."""
TINY = 1e-6
"""What is left of an eps that is forgotten."""
BRANCH = 1e-3
"""How large each summand must be beside the sum: a smaller one could be left out."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the work could not have shown.

    Attributes:
        node: where, ``"input"`` for the images themselves.
        what: ``"region"``, ``"tap"``, ``"channel"``, ``"window"``, ``"statistics"``,
            ``"parameter"``, ``"branch"``, ``"gradient"`` or ``"input"``.
        detail: one line, with what was found and what is needed.
        training: in which mode.
    """

    node: str
    what: str
    detail: str
    training: bool

    def __str__(self) -> str:
        return f"{self.node} ({'training' if self.training else 'evaluation'}): {self.detail}"


@dataclass(frozen=True)
class Coverage:
    """What the work could show in one mode.

    Attributes:
        shares: activation → region (``"x > 3"``) → share of its values there.
        gaps: what it could not show, in the order of the nodes.
    """

    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


def coverage(graph: Graph, weights: Arrays, values: Arrays, *, training: bool) -> Coverage:
    """Return what a network, its weights and the values they make can show.

    Args:
        graph: the network.
        weights: canonical name → array.
        values: of every node, and the images under ``"input"``; the float64 reference's.
        training: whether batch norm used the statistics of the batch.
    """
    shares: dict[str, Mapping[str, float]] = {}
    told: list[tuple[str, Told]] = [(INPUT, gap) for gap in _images(values[INPUT])]
    positive = _nonnegative(graph)
    of_images = {INPUT}
    for node in graph.nodes:
        of_images.update([node.name] if of_images.intersection(node.inputs) else [])
        if node.op.regions:
            counts = _regions(node, values[node.inputs[0]])
            size = values[node.inputs[0]].size
            shares[node.name] = {label: count / size for label, count in counts.items()}
            told += [(node.name, gap) for gap in _empty(node, counts, size, positive)]
        own = _node(node, weights, values, training, node.name in of_images)
        told += [(node.name, gap) for gap in own]
    gaps = (Gap(name, gap.what, gap.detail, training) for name, gap in told)
    return Coverage(shares, tuple(gaps))


def gradient_gaps(graph: Graph, frozen: Arrays, batch: Arrays) -> tuple[Gap, ...]:
    """Return the parameters that no gradient of the loss reaches.

    Args:
        graph: the network.
        frozen: gradients of the parameters with frozen batch norms, float64.
        batch: the same with the statistics of the batch.
    """
    return tuple(
        Gap(node, "gradient", detail, training)
        for training, gradients in ((False, frozen), (True, batch))
        for node, detail in unreached(graph, gradients, training=training)
    )


def _node(
    node: Node, weights: Arrays, values: Arrays, training: bool, of_images: bool
) -> Iterator[Told]:
    made = values[node.name]
    x = values[node.inputs[0]] if node.inputs else made
    for role in node.op.parameters():
        array = weights[f"{node.name}.{role}"]
        if array.size > 1 and array.min() == array.max():
            yield Told("parameter", f"{role} is {array.flat[0] + 0:g} in every place")
    if isinstance(node.op, BatchNorm2d):
        yield from statistics(node, weights, x, training)
    elif isinstance(node.op, LayerNorm | GroupNorm):
        yield from _epsilon(node, weights, x)
    elif isinstance(node.op, Conv2d | MaxPool2d):
        yield from blind_offsets(node.op, x, made)
    elif isinstance(node.op, Add):
        for name in node.inputs:
            if not scale_of(values[name]) >= BRANCH * scale_of(made):
                yield Told("branch", f"what {name} adds is next to nothing: it could be left out")
    # What is made of weights alone is the same of all images.
    if of_images and node.inputs and node.op.traits.channels != "moved":
        yield from channels(made)


def _epsilon(node: Node, weights: Arrays, x: np.ndarray) -> Iterator[Told]:
    """Tell if a norm's eps could be forgotten and nothing would be more than rounding."""
    op = node.op
    assert isinstance(op, LayerNorm | GroupNorm)
    held = {role: weights[f"{node.name}.{role}"].astype(np.float64) for role in op.parameters()}
    exact, without = (
        apply(found, [x], held, False) for found in (op, replace(op, eps=op.eps * TINY))
    )
    shown = in_units(without, exact, magnitude(op, [x], held, exact, False))
    if shown <= ordinary():
        yield Told("statistics", f"eps (={op.eps:g}) hardly shows: the variances are too large")


def _images(images: np.ndarray) -> Iterator[Told]:
    flat = images.reshape(len(images), -1)
    varies = np.ptp(images.reshape(*images.shape[:2], -1), axis=2).max(1) > 0
    constant = [str(i) for i in np.flatnonzero(~varies)]
    if constant:
        yield Told(
            "input",
            f"{len(constant)} of {len(images)} images are constant ({_some(constant)}): where each "
            "pixel goes does not show",
        )
    order = np.lexsort(flat[:, : min(flat.shape[1], 64)].T)
    same = [
        f"{a} and {b}" for a, b in itertools.pairwise(order) if np.array_equal(flat[a], flat[b])
    ]
    if same:
        yield Told("input", f"images are the same ({_some(same)}): which is which does not show")
    yield from channels(images)


def _regions(node: Node, x: np.ndarray) -> dict[str, int]:
    """Return how many values lie in each region of an activation."""
    kinks = node.op.kinks
    below = [int(np.count_nonzero(x < kink)) for kink in kinks]
    above = [int(np.count_nonzero(x > kink)) for kink in kinks]
    counts = {}
    for i, (low, high) in enumerate(node.op.regions):
        if math.isinf(low):
            counts[f"x < {high:g}"] = below[0]
        elif math.isinf(high):
            counts[f"x > {low:g}"] = above[-1]
        else:
            counts[f"{low:g} < x < {high:g}"] = above[i - 1] + below[i] - x.size
    return counts


def _empty(node: Node, counts: Mapping[str, int], size: int, positive: set[str]) -> Iterator[Told]:
    needed = max(min(FEWEST, 1 + size // CROWDED), SHARE * size)
    for (label, count), (_, high) in zip(counts.items(), node.op.regions, strict=True):
        if count < needed and not (high <= 0 and node.inputs[0] in positive):
            few = min(FEWEST, 1 + size // CROWDED)
            yield Told(
                "region",
                f"{label}: {count:,} of {size:,} values ({100 * count / size:.2g} %), at least "
                f"{few} and {100 * SHARE:g} % are needed",
            )


def _nonnegative(graph: Graph) -> set[str]:
    """Return the values that are never negative, whatever the images."""
    found: set[str] = set()
    for node in graph.nodes:
        sign = node.op.traits.sign
        if sign == "nonnegative" or (sign == "kept" and found.issuperset(node.inputs)):
            found.add(node.name)
    return found


def _some(names: list[str]) -> str:
    """Return the first few of a list."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
