"""Mistakes in pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import AvgPool2d, MaxPool2d, Padding, Sides, Window, sides
from zoo.proof.mutants.arithmetic import enlarged, gradient_of, with_zeros
from zoo.proof.mutants.deductions import never_negative
from zoo.proof.mutants.mutation import Attribute, Function, Mutation, Namespace, Site, simple
from zoo.proof.mutants.windows import (
    bare,
    bordered,
    lower,
    padded,
    resolved,
    starts_elsewhere,
    thinned,
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

    def repeated(
        ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
    ) -> Any:
        y, out = layer(x[0]), op.output_shape(tuple(int(n) for n in x[0].shape))
        for axis in (2, 3):
            last = int(y.shape[axis]) - 1
            y = ns.take(y, [min(i, last) for i in range(out[axis])], axis)
        return y

    yield Function(
        name="ceil_mode dropped, the last window repeated",
        op=kind,
        covers=("ceil_mode",),
        when=lambda site: _floored(site).output_shape(*site.inputs) != site.output,
        inner=_floored,
        body=repeated,
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
    yield simple(
        kind,
        "SAME_LOWER",
        lambda ns, layer, x, op: layer(enlarged(ns, x, _lower_of(op, x), "edge")),
        covers=("padding",),
        when=lambda site: starts_elsewhere(site, lower(site)) and _keeps(site, lower(site)),
        inner=lambda site: bare(site.op, **_not_counted(site)),
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
            ceil_mode=site.op.ceil_mode,
            count_include_pad=False,
        ),
    )
    yield bordered(
        kind,
        "padding with zeros",
        with_zeros,
        equivalent=lambda site: (
            "its input is never negative: a zero wins over nothing"
            if never_negative(site.graph, site.node.inputs[0])
            else None
        ),
    )
    yield simple(kind, "minimum", lambda ns, layer, x, op: -layer(-x), covers=("function",))
    yield simple(
        kind,
        "maximum of the absolute values",
        lambda ns, layer, x, op: layer(abs(x)),
        covers=("function",),
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
            kernel_size=site.op.kernel_size,
            stride=site.op.stride,
            padding=site.op.padding,
            ceil_mode=site.op.ceil_mode,
        ),
    )
    yield bordered(
        kind,
        "padding counted under SAME_UPPER",
        with_zeros,
        covers=("count_include_pad",),
        when=lambda site: site.op.padding == "SAME_UPPER" and padded(site),
    )
    yield bordered(
        kind,
        "what hangs over counted with ceil_mode",
        with_zeros,
        covers=("ceil_mode",),
        when=lambda site: site.op.ceil_mode and padded(site),
    )
    yield bordered(
        kind, "padding with the edge", lambda ns, x, sides: enlarged(ns, x, sides, "edge")
    )
    yield simple(
        kind,
        "sum for mean",
        lambda ns, layer, x, op: layer(x) * (op.kernel_size[0] * op.kernel_size[1]),
        covers=("function",),
    )
    yield simple(
        kind,
        "divided by one value less",
        lambda ns, layer, x, op: layer(x) * (1 + 1 / (op.kernel_size[0] * op.kernel_size[1] - 1)),
        covers=("kernel_size",),
        when=lambda site: max(site.op.kernel_size) > 1,
    )


def _floored(site: Site) -> Operator:
    return cast(Operator, replace(site.op, ceil_mode=False))


def _pool_with(site: Site, padding: Padding) -> Operator | None:
    more: dict[str, Any] = _not_counted(site) if padding == "SAME_UPPER" else {}
    if padding != "SAME_UPPER" and any(
        2 * p > k for p, k in zip(padding[:2], site.op.kernel_size, strict=True)
    ):
        return None
    return cast(Operator, replace(site.op, padding=padding, ceil_mode=False, **more))


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
    size = (height + top + bottom, width + left + right)
    return bool(bare(site.op).output_shape((n, c, *size)) == site.output)


def _lower_of(op: Window, x: Any) -> Sides:
    size = (int(x.shape[2]), int(x.shape[3]))
    top, left, bottom, right = sides("SAME_UPPER", size, op.kernel_size, op.stride)
    return (bottom, right, top, left)


def pools() -> Iterator[Mutation]:
    """Return the mutations of both pools."""
    yield from max_pool()
    yield from avg_pool()
