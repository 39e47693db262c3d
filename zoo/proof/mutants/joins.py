"""Mistakes in sums, products, means over the map, and dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from zoo.arch.operators import AdaptiveAvgPool2d, Add, Dropout, GlobalAvgPool2d, Mul
from zoo.proof.mutants.arithmetic import gradient_of, last, positive, rolled
from zoo.proof.mutants.deductions import nothing_to_clip
from zoo.proof.mutants.mutation import Attribute, Body, Function, Mutation, Namespace, Site

Bounds = Callable[[int, int, int], tuple[int, int]]
"""From the number of a cell, the pixels and the cells along a side to (start, stop)."""


def _function(op: type, name: str, body: Body, **more: Any) -> Function:
    return Function(name=name, op=op, body=body, **more)


def add() -> Iterator[Mutation]:
    """Add."""
    values: dict[str, Body] = {
        "subtracted": lambda ns, layer, x, op, held, training: x[0] - x[1],
        "second left out": lambda ns, layer, x, op, held, training: x[0] * 1.0,
        "first left out": lambda ns, layer, x, op, held, training: x[1] * 1.0,
        "first twice": lambda ns, layer, x, op, held, training: layer(x[0], x[0]),
        "mean": lambda ns, layer, x, op, held, training: layer(*x) / 2,
        "maximum": lambda ns, layer, x, op, held, training: x[0] + positive(x[1] - x[0]),
        "product": lambda ns, layer, x, op, held, training: x[0] * x[1],
        "second scaled by 0.999": lambda ns, layer, x, op, held, training: layer(
            x[0], 0.999 * x[1]
        ),
        "second of the next image": lambda ns, layer, x, op, held, training: layer(
            x[0], rolled(ns, x[1], 0)
        ),
    }
    for name, body in values.items():
        yield _function(Add, name, body, when=_distinct)
    yield _function(
        Add, "a ReLU after it",
        lambda ns, layer, x, op, held, training: positive(layer(*x)), equivalent=nothing_to_clip,
    )  # fmt: skip
    gradients: dict[str, Body] = {
        "gradient to the first cut": lambda ns, layer, x, op, held, training: layer(
            ns.detach(x[0]), x[1]
        ),
        "gradient to the second cut": lambda ns, layer, x, op, held, training: layer(
            x[0], ns.detach(x[1])
        ),
        "gradient halved": lambda ns, layer, x, op, held, training: gradient_of(
            ns, layer(*x), layer(*x) / 2
        ),
    }
    for name, body in gradients.items():
        yield _function(Add, name, body, level="gradients", when=_distinct)


def _distinct(site: Site) -> bool:
    return "input" not in site.node.inputs


def mul() -> Iterator[Mutation]:
    """Mul."""
    values: dict[str, Body] = {
        "gate left out": lambda ns, layer, x, op, held, training: x[0] * 1.0,
        "gate squared": lambda ns, layer, x, op, held, training: layer(x[0], x[1] * x[1]),
        "one plus the gate": lambda ns, layer, x, op, held, training: layer(x[0], 1 + x[1]),
        "one minus the gate": lambda ns, layer, x, op, held, training: layer(x[0], 1 - x[1]),
        "added": lambda ns, layer, x, op, held, training: x[0] + x[1],
        "gate rolled by a channel": lambda ns, layer, x, op, held, training: layer(
            x[0], rolled(ns, x[1], 1)
        ),
        "gate of the next image": lambda ns, layer, x, op, held, training: layer(
            x[0], rolled(ns, x[1], 0)
        ),
        "one gate for all channels": lambda ns, layer, x, op, held, training: (
            x[0] * ns.mean(x[1], (1,))
        ),
        "map squared": lambda ns, layer, x, op, held, training: layer(x[0] * x[0], x[1]),
    }
    for name, body in values.items():
        yield _function(Mul, name, body)
    gradients: dict[str, Body] = {
        "gradient to the map cut": lambda ns, layer, x, op, held, training: layer(
            ns.detach(x[0]), x[1]
        ),
        "gradient to the gate cut": lambda ns, layer, x, op, held, training: layer(
            x[0], ns.detach(x[1])
        ),
        "gradient to the gate doubled": lambda ns, layer, x, op, held, training: (
            layer(x[0], x[1]) + ns.detach(x[0]) * (x[1] - ns.detach(x[1]))
        ),
    }
    for name, body in gradients.items():
        yield _function(Mul, name, body, level="gradients")


def global_avg_pool() -> Iterator[Mutation]:
    """GlobalAvgPool2d."""
    kind = GlobalAvgPool2d

    def wide(site: Site) -> bool:
        return min(site.inputs[0][2:]) > 1

    def without(ns: Namespace, x: Any, axis: int) -> Any:
        return ns.mean(ns.take(x, list(range(int(x.shape[axis]) - 1)), axis), (2, 3))

    values: dict[str, Body] = {
        "last row left out": lambda ns, layer, x, op, held, training: without(ns, x[0], 2),
        "last column left out": lambda ns, layer, x, op, held, training: without(ns, x[0], 3),
        "sum for mean": lambda ns, layer, x, op, held, training: (
            layer(x[0]) * int(x[0].shape[2]) * int(x[0].shape[3])
        ),
        "divided by one pixel less": lambda ns, layer, x, op, held, training: (
            layer(x[0]) * (1 + 1 / (int(x[0].shape[2]) * int(x[0].shape[3]) - 1))
        ),
        "first pixel": lambda ns, layer, x, op, held, training: x[0][:, :, :1, :1] * 1.0,
        "mean of the squares": lambda ns, layer, x, op, held, training: layer(x[0] * x[0]),
        "a border of zeros counted": lambda ns, layer, x, op, held, training: layer(x[0]) * (
            int(x[0].shape[2]) / (int(x[0].shape[2]) + 2)
        ),
    }  # fmt: skip
    for name, body in values.items():
        yield _function(kind, name, body, when=wide)
    yield _function(
        kind, "mean over the images too",
        lambda ns, layer, x, op, held, training: layer(x[0]) * 0 + ns.mean(x[0], (0, 2, 3)),
    )  # fmt: skip
    yield _function(
        kind, "gradient to the first pixel alone",
        lambda ns, layer, x, op, held, training: gradient_of(ns, layer(x[0]), x[0][:, :, :1, :1]),
        when=wide, level="gradients",
    )  # fmt: skip
    yield _function(
        kind, "gradient to the last row cut",
        lambda ns, layer, x, op, held, training: layer(
            x[0] * (1 - last(ns, x[0], 2)) + ns.detach(x[0] * last(ns, x[0], 2))
        ),
        when=wide, level="gradients",
    )  # fmt: skip


def adaptive_avg_pool() -> Iterator[Mutation]:
    """AdaptiveAvgPool2d: in where its cells begin and end."""
    kind = AdaptiveAvgPool2d

    def overlap(site: Site) -> bool:
        return any(n % m for n, m in zip(site.inputs[0][2:], site.op.output_size, strict=True))

    def means(ns: Namespace, x: Any, op: Any, bounds: Bounds) -> Any:
        """Return the means of cells whose bounds are others."""
        rows, columns = (
            [list(range(*bounds(i, int(x.shape[2 + axis]), n))) for i in range(n)]
            for axis, n in enumerate(op.output_size)
        )
        across = [
            ns.cat([ns.mean(ns.take(ns.take(x, r, 2), c, 3), (2, 3)) for c in columns], 3)
            for r in rows
        ]
        return ns.cat(across, 2)

    cells: dict[str, Bounds] = {
        "ends rounded down": lambda i, n, m: (i * n // m, max((i + 1) * n // m, i * n // m + 1)),
        "starts rounded up": lambda i, n, m: (min(-(-i * n // m), n - 1), -(-(i + 1) * n // m)),
        "nearest pixel": lambda i, n, m: (i * n // m, i * n // m + 1),
        "cells of one size": lambda i, n, m: (
            min(i * -(-n // m), n - 1), min((i + 1) * -(-n // m), n)
        ),
    }  # fmt: skip

    def moved(bounds: Bounds) -> Body:
        return lambda ns, layer, x, op, held, training: means(ns, x[0], op, bounds)

    for name, bounds in cells.items():
        yield _function(kind, name, moved(bounds), when=overlap, covers=("output_size",))
    yield _function(
        kind, "turned over",
        lambda ns, layer, x, op, held, training: layer(
            ns.take(x[0], list(range(int(x[0].shape[2]) - 1, -1, -1)), 2)
        ),
    )  # fmt: skip
    yield _function(
        kind, "gradient to the last row cut",
        lambda ns, layer, x, op, held, training: layer(
            x[0] * (1 - last(ns, x[0], 2)) + ns.detach(x[0] * last(ns, x[0], 2))
        ),
        level="gradients",
    )  # fmt: skip


def dropout() -> Iterator[Mutation]:
    """Dropout."""
    kind = Dropout

    def dropped(ns: Namespace, x: Any) -> Any:
        """Return a mask that leaves every third feature out."""
        n = int(x.shape[1])
        return ns.array([float(i % 3 > 0) for i in range(n)], x).reshape(
            (1, n, *(1 for _ in x.shape[2:]))
        )

    def evaluated(change: Body) -> Body:
        return lambda ns, layer, x, op, held, training: (
            layer(x[0]) if training else change(ns, layer, x, op, held, training)
        )

    def trained(change: Body) -> Body:
        return lambda ns, layer, x, op, held, training: (
            change(ns, layer, x, op, held, training) if training else layer(x[0])
        )

    evaluation: dict[str, Body] = {
        "active in evaluation": lambda ns, layer, x, op, held, training: (
            x[0] * dropped(ns, x[0]) / (1 - op.p)
        ),
        "scaled in evaluation": lambda ns, layer, x, op, held, training: x[0] * (1 - op.p),
        "scaled up in evaluation": lambda ns, layer, x, op, held, training: x[0] / (1 - op.p),
    }
    for name, body in evaluation.items():
        yield _function(kind, name, evaluated(body), when=_drops)
    training: dict[str, Body] = {
        "without its scale": lambda ns, layer, x, op, held, training: layer(x[0]) * (1 - op.p),
        "idle in training": lambda ns, layer, x, op, held, training: x[0] * 1.0,
        "scaled by 1 / p": lambda ns, layer, x, op, held, training: layer(x[0]) * (1 - op.p) / op.p,
        "scaled in training as well as in evaluation": lambda ns, layer, x, op, held, training: (
            layer(x[0]) / (1 - op.p)
        ),
        "one mask for all images": lambda ns, layer, x, op, held, training: x[0] * ns.detach(
            ns.step(abs(layer(x[0][:1] * 0 + 1)))
        ) / (1 - op.p),
        "zeros and scale in every third feature": lambda ns, layer, x, op, held, training: (
            x[0] * dropped(ns, x[0]) / (1 - op.p)
        ),
    }  # fmt: skip
    for name, body in training.items():
        yield _function(kind, name, trained(body), level="batch_statistics", when=_drops)
    attributes: dict[str, Callable[[Site], Dropout]] = {
        "p is one minus it": lambda site: Dropout(p=1 - site.op.p),
        "p twice as large": lambda site: Dropout(p=min(2 * site.op.p, 0.99)),
        "p zero": lambda site: replace(site.op, p=0.0),
        "of images for values, or values for images": lambda site: replace(
            site.op, of="image" if site.op.of == "value" else "value"
        ),
    }
    for name, make in attributes.items():
        covers = ("p",) if name.startswith("p ") else ("of",)
        yield Attribute(
            name=name, op=kind, covers=covers, level="batch_statistics", when=_drops, make=make
        )


def _drops(site: Site) -> bool:
    return bool(site.op.p > 0)


def joins() -> Iterator[Mutation]:
    """Return the mutations of sums, products, means over the map and dropout."""
    yield from add()
    yield from mul()
    yield from global_avg_pool()
    yield from adaptive_avg_pool()
    yield from dropout()
