"""Mistakes in pools, and what pools and convolutions have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import AvgPool2d, MaxPool2d, Padding, Sides, Window, sides
from zoo.proof.mutants.arithmetic import (
    enlarged,
    gradient_of,
    padding_of,
    rolled,
    with_zeros,
)
from zoo.proof.mutants.deductions import never_negative
from zoo.proof.mutants.mutation import Attribute, Function, Mutation, Namespace, Site

NONE: Sides = (0, 0, 0, 0)


def resolved(site: Site, padding: Padding | None = None) -> Sides:
    """Return the sides that a padding (by default the operator's own) means at a site."""
    op = site.op
    dilation = getattr(op, "dilation", (1, 1))
    reach = [d * (k - 1) + 1 for k, d in zip(op.kernel_size, dilation, strict=True)]
    return sides(
        op.padding if padding is None else padding,
        (site.inputs[0][2], site.inputs[0][3]),
        (reach[0], reach[1]),
        op.stride,
    )


def padded(site: Site) -> bool:
    """Return whether any window of a site reaches over an edge."""
    top, left, _, _ = resolved(site)
    return top + left > 0 or _overhang(site) > 0


def _overhang(site: Site) -> int:
    """Return how many rows and columns the last windows reach beyond the map."""
    op, found = site.op, 0
    dilation = getattr(op, "dilation", (1, 1))
    top, left, _, _ = resolved(site)
    for axis, before in enumerate((top, left)):
        reach = dilation[axis] * (op.kernel_size[axis] - 1) + 1
        end = (site.output[2 + axis] - 1) * op.stride[axis] - before + reach
        found += max(end - site.inputs[0][2 + axis], 0)
    return found


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
    yield Function(
        name="moved by a row",
        op=kind,
        covers=("padding",),
        when=lambda site: site.inputs[0][2] > 1 and site.output[2] > 1,
        body=lambda ns, layer, x, op, held, training: layer(rolled(ns, x[0], 2)),
    )
    yield Function(
        name="moved by a column",
        op=kind,
        covers=("padding",),
        when=lambda site: site.inputs[0][3] > 1 and site.output[3] > 1,
        body=lambda ns, layer, x, op, held, training: layer(rolled(ns, x[0], 3, -1)),
    )
    yield Function(
        name="rows and columns exchanged",
        op=kind,
        covers=("kernel_size",),
        when=lambda site: (
            site.inputs[0][2] == site.inputs[0][3]
            and site.output[2] == site.output[3]
            and site.output[2] > 1
        ),
        body=lambda ns, layer, x, op, held, training: ns.permute(layer(x[0]), (0, 1, 3, 2)),
    )


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Iterator[Mutation]:
    """Mistakes that both pools share."""
    yield from thinned(kind)
    yield Attribute(
        name="padding SAME_UPPER for symmetric",
        op=kind,
        covers=("padding",),
        when=lambda site: starts_elsewhere(site, resolved(site, "SAME_UPPER")),
        make=lambda site: _pool_with(site, "SAME_UPPER"),
    )
    yield Attribute(
        name="padding symmetric for SAME_UPPER",
        op=kind,
        covers=("padding",),
        when=lambda site: (
            site.op.padding == "SAME_UPPER" and starts_elsewhere(site, _symmetric(site))
        ),
        make=lambda site: _pool_with(site, _symmetric(site)),
    )

    def small(site: Site) -> Operator:
        return cast(Operator, replace(site.op, kernel_size=_smaller(site.op.kernel_size)))

    def cropped(
        ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
    ) -> Any:
        y, out = layer(x[0]), op.output_shape(tuple(int(n) for n in x[0].shape))
        for axis in (2, 3):
            y = ns.take(y, list(range(out[axis])), axis)
        return y

    yield Function(
        name="window smaller by one",
        op=kind,
        covers=("kernel_size",),
        when=lambda site: max(site.op.kernel_size) > 1,
        inner=small,
        body=cropped,
    )
    yield Function(
        name="SAME_LOWER",
        op=kind,
        covers=("padding",),
        when=lambda site: starts_elsewhere(site, lower(site)) and _keeps(site, lower(site)),
        inner=lambda site: replace(site.op, padding=NONE, **_not_counted(site)),
        body=lambda ns, layer, x, op, held, training: layer(
            enlarged(ns, x[0], _lower_of(op, x[0]), "edge")
        ),
    )


def max_pool() -> Iterator[Mutation]:
    """MaxPool2d."""
    kind = MaxPool2d
    yield from _pool(kind)
    yield Attribute(
        name="mean for maximum",
        op=kind,
        covers=("function",),
        make=lambda site: AvgPool2d(
            kernel_size=site.op.kernel_size,
            stride=site.op.stride,
            padding=site.op.padding,
            count_include_pad=False,
        ),
    )
    yield Function(
        name="padding with zeros",
        op=kind,
        covers=("padding",),
        when=padded,
        inner=lambda site: replace(site.op, padding=NONE),
        body=lambda ns, layer, x, op, held, training: layer(
            with_zeros(ns, x[0], padding_of(op, x[0]))
        ),
        equivalent=lambda site: (
            "its input is never negative: a zero wins over nothing"
            if never_negative(site.graph, site.node.inputs[0])
            else None
        ),
    )
    yield Function(
        name="minimum",
        op=kind,
        covers=("function",),
        body=lambda ns, layer, x, op, held, training: -layer(-x[0]),
    )
    yield Function(
        name="maximum of the absolute values",
        op=kind,
        covers=("function",),
        body=lambda ns, layer, x, op, held, training: layer(abs(x[0])),
        equivalent=lambda site: (
            "its input is never negative"
            if never_negative(site.graph, site.node.inputs[0])
            else None
        ),
    )
    yield Function(
        name="gradient to all of the window",
        op=kind,
        level="gradients",
        when=lambda site: site.op.stride == site.op.kernel_size and not padded(site),
        body=_spread_gradient,
    )


def _spread_gradient(
    ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
) -> Any:
    value, (down, right) = layer(x[0]), op.stride
    rows, columns = int(value.shape[2]), int(value.shape[3])
    parts = [
        ns.take(
            ns.take(x[0], [i * down + a for i in range(rows)], 2),
            [j * right + b for j in range(columns)],
            3,
        )
        for a in range(op.kernel_size[0])
        for b in range(op.kernel_size[1])
    ]
    return gradient_of(ns, value, sum(parts) / len(parts))


def avg_pool() -> Iterator[Mutation]:
    """AvgPool2d."""
    kind = AvgPool2d
    yield from _pool(kind)
    yield Attribute(
        name="count_include_pad flipped",
        op=kind,
        covers=("count_include_pad",),
        when=lambda site: site.op.padding != "SAME_UPPER" and padded(site),
        make=lambda site: replace(site.op, count_include_pad=not site.op.count_include_pad),
    )
    yield Attribute(
        name="maximum for mean",
        op=kind,
        covers=("function",),
        make=lambda site: MaxPool2d(
            kernel_size=site.op.kernel_size, stride=site.op.stride, padding=site.op.padding
        ),
    )
    yield Function(
        name="padding counted under SAME_UPPER",
        op=kind,
        covers=("count_include_pad",),
        when=lambda site: site.op.padding == "SAME_UPPER" and padded(site),
        inner=lambda site: replace(site.op, padding=NONE),
        body=lambda ns, layer, x, op, held, training: layer(
            with_zeros(ns, x[0], padding_of(op, x[0]))
        ),
    )
    yield Function(
        name="padding with the edge",
        op=kind,
        covers=("padding",),
        when=padded,
        inner=lambda site: replace(site.op, padding=NONE),
        body=lambda ns, layer, x, op, held, training: layer(
            enlarged(ns, x[0], padding_of(op, x[0]), "edge")
        ),
    )
    yield Function(
        name="sum for mean",
        op=kind,
        covers=("function",),
        body=lambda ns, layer, x, op, held, training: (
            layer(x[0]) * (op.kernel_size[0] * op.kernel_size[1])
        ),
    )
    yield Function(
        name="divided by one value less",
        op=kind,
        covers=("kernel_size",),
        when=lambda site: max(site.op.kernel_size) > 1,
        body=lambda ns, layer, x, op, held, training: (
            layer(x[0]) * (1 + 1 / (op.kernel_size[0] * op.kernel_size[1] - 1))
        ),
    )


def _pool_with(site: Site, padding: Padding) -> Operator | None:
    more: dict[str, Any] = _not_counted(site) if padding == "SAME_UPPER" else {}
    if padding != "SAME_UPPER" and any(
        2 * p > k for p, k in zip(padding[:2], site.op.kernel_size, strict=True)
    ):
        return None
    return cast(Operator, replace(site.op, padding=padding, **more))


def _symmetric(site: Site) -> Sides:
    down, right = (k // 2 for k in site.op.kernel_size)
    return (down, right, down, right)


def _smaller(kernel_size: tuple[int, int]) -> tuple[int, int]:
    return (max(kernel_size[0] - 1, 1), max(kernel_size[1] - 1, 1))


def _not_counted(site: Site) -> dict[str, Any]:
    return {"count_include_pad": False} if isinstance(site.op, AvgPool2d) else {}


def _keeps(site: Site, other: Sides) -> bool:
    """Return whether explicit sides give a map of the same size."""
    top, left, bottom, right = other
    n, c, height, width = site.inputs[0]
    bare = replace(site.op, padding=NONE)
    size = (height + top + bottom, width + left + right)
    return bool(bare.output_shape((n, c, *size)) == site.output)


def _lower_of(op: Window, x: Any) -> Sides:
    more: dict[str, Any] = {"count_include_pad": False} if isinstance(op, AvgPool2d) else {}
    top, left, bottom, right = padding_of(replace(op, padding="SAME_UPPER", **more), x)
    return (bottom, right, top, left)


def pools() -> Iterator[Mutation]:
    """Return the mutations of both pools."""
    yield from max_pool()
    yield from avg_pool()
