"""Mistakes in pools, and what pools and convolutions have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import Padding, Pool, Sides, Window, sides
from zoo.proof.mutants.arithmetic import (
    padding_of,
    rolled,
)
from zoo.proof.mutants.mutation import Function, Mutation, Namespace, Site, simple

NONE: Sides = (0, 0, 0, 0)


def resolved(site: Site, padding: Padding | None = None) -> Sides:
    """Return the sides that a padding (by default the operator's own) means at a site."""
    op, size = site.op, (site.inputs[0][2], site.inputs[0][3])
    found: Sides = (
        op.resolved(size) if padding is None else sides(padding, size, op.reach, op.stride)
    )
    return found


def padded(site: Site) -> bool:
    """Return whether any window of a site reaches over an edge."""
    top, left, _, _ = resolved(site)
    return top + left > 0 or _overhang(site) > 0


def _overhang(site: Site) -> int:
    """Return how many rows and columns the last windows reach beyond the map."""
    op, found = site.op, 0
    top, left, _, _ = resolved(site)
    for axis, before in enumerate((top, left)):
        end = (site.output[2 + axis] - 1) * op.stride[axis] - before + op.reach[axis]
        found += max(end - site.inputs[0][2 + axis], 0)
    return found


def bare(op: Window, **more: Any) -> Window:
    """Return a window that is not padded, nor hangs over."""
    if isinstance(op, Pool):
        more |= {"ceil_mode": False}
    return replace(op, padding=NONE, **more)


def lower(site: Site) -> Sides:
    """Return the sides of SAME_LOWER: the odd pixel at the top and left."""
    top, left, bottom, right = resolved(site, "SAME_UPPER")
    return (bottom, right, top, left)


def starts_elsewhere(site: Site, other: Sides) -> bool:
    """Return whether windows would begin at other pixels; where they end follows from it."""
    return other[:2] != resolved(site)[:2]


def thinned(kind: type[Window]) -> Iterator[Mutation]:
    """Mistakes with strides, for each window alike."""

    def thin(
        ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
    ) -> Any:
        y, out = layer(x[0]), op.output_shape(tuple(int(n) for n in x[0].shape))
        # With another stride, SAME_UPPER pads the top and left by another number of pixels.
        begun = padding_of(replace(op, stride=(1, 1)), x[0])[:2], padding_of(op, x[0])[:2]
        for axis, s, before, was in zip((2, 3), op.stride, *begun, strict=True):
            late, most = before - was + (s > 1), int(y.shape[axis]) - 1
            y = ns.take(y, [min(i * s + late, most) for i in range(out[axis])], axis)
        return y

    def dense(site: Site) -> Operator:
        return cast(Operator, replace(site.op, stride=(1, 1)))

    yield Function(
        name="stride begun a pixel late",
        op=kind,
        covers=("stride",),
        when=lambda site: (
            max(site.op.stride) > 1
            and all(
                s == 1 or n > 1
                for s, n in zip(
                    site.op.stride, dense(site).output_shape(*site.inputs)[2:], strict=True
                )
            )
        ),
        inner=dense,
        body=thin,
    )

    def repeat(
        ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
    ) -> Any:
        y = layer(x[0])
        for axis in (2, 3):
            y = ns.take(y, [i // 2 * 2 for i in range(int(y.shape[axis]))], axis)
        return y

    yield Function(
        name="stride 2, each value repeated",
        op=kind,
        covers=("stride",),
        when=lambda site: max(site.op.stride) == 1 and max(site.output[2:]) > 1,
        body=repeat,
    )
    yield simple(
        kind,
        "moved by a row",
        lambda ns, layer, x, op: layer(rolled(ns, x, 2)),
        covers=("padding",),
        when=lambda site: site.inputs[0][2] > 1 and site.output[2] > 1,
    )
    yield simple(
        kind,
        "moved by a column",
        lambda ns, layer, x, op: layer(rolled(ns, x, 3, -1)),
        covers=("padding",),
        when=lambda site: site.inputs[0][3] > 1 and site.output[3] > 1,
    )
    yield simple(
        kind,
        "rows and columns exchanged",
        lambda ns, layer, x, op: ns.permute(layer(x), (0, 1, 3, 2)),
        covers=("kernel_size",),
        when=lambda site: (
            site.inputs[0][2] == site.inputs[0][3]
            and site.output[2] == site.output[3]
            and site.output[2] > 1
        ),
    )


def bordered(
    kind: type[Window], name: str, border: Callable[[Namespace, Any, Sides], Any], **more: Any
) -> Function:
    """A window without padding, over a map that is given a border of its own."""
    fields: dict[str, Any] = {"covers": ("padding",), "when": padded} | more
    return simple(
        kind,
        name,
        lambda ns, layer, x, op: layer(border(ns, x, padding_of(op, x))),
        inner=lambda site: bare(site.op),
        **fields,
    )
