"""Mistakes in convolutions: padding, dilation, groups, taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import Conv2d, Padding, Sides
from zoo.proof.mutants.affine import filters, put, reads_several, weights
from zoo.proof.mutants.arithmetic import enlarged, with_zeros
from zoo.proof.mutants.mutation import (
    Arrays,
    Attribute,
    Mutation,
    Namespace,
    Site,
    simple,
)
from zoo.proof.mutants.windows import bordered, lower, padded, resolved, starts_elsewhere, thinned


def _has_taps(site: Site) -> bool:
    return bool(max(site.op.kernel_size) > 1)


def _grouped(site: Site) -> bool:
    return bool(site.op.groups > 1)


def _dilated(site: Site) -> Operator | None:
    """Return a convolution with another dilation and padding that keeps the size."""
    dilation = tuple(1 if d > 1 else 2 for d in site.op.dilation)
    if site.op.padding == "SAME_UPPER":
        return cast(Operator, replace(site.op, dilation=dilation))
    top, left, bottom, right = site.op.padding
    more = [
        (d - e) * (k - 1)
        for d, e, k in zip(dilation, site.op.dilation, site.op.kernel_size, strict=True)
    ]
    padding = (
        top + more[0] // 2, left + more[1] // 2,
        bottom + more[0] - more[0] // 2, right + more[1] - more[1] // 2,
    )  # fmt: skip
    if min(padding) < 0:
        return None
    return cast(Operator, replace(site.op, dilation=dilation, padding=padding))


def _shifted(site: Site, down: int, right: int) -> Operator | None:
    top, left, bottom, far = resolved(site)
    padding = (top - down, left - right, bottom + down, far + right)
    return cast(Operator, replace(site.op, padding=padding)) if min(padding) >= 0 else None


def _interleaved(groups: int, channels: int) -> list[int]:
    each = channels // groups
    return [j * groups + i for i in range(groups) for j in range(each)]


def _padded_as(name: str, make: Callable[[Site], Padding]) -> Attribute:
    return Attribute(
        name=name,
        op=Conv2d,
        covers=("padding",),
        when=lambda site: starts_elsewhere(site, resolved(site, make(site))),
        make=lambda site: cast(Operator, replace(site.op, padding=make(site))),
    )


def _symmetric(site: Site) -> Sides:
    op = site.op
    down, right = (d * (k - 1) // 2 for d, k in zip(op.dilation, op.kernel_size, strict=True))
    return (down, right, down, right)


COPIES = {
    "padding with the edge": "edge",
    "padding mirrored": "mirrored",
    "padding from the other side": "round",
}


def _copied(ns: Namespace, x: Any, sides: Sides, how: str) -> Any:
    return enlarged(ns, x, sides, how)


def conv() -> Iterator[Mutation]:
    """Conv2d."""
    kind = Conv2d
    yield from filters(kind, "out_channels", "in_channels")
    yield from thinned(kind)
    yield _padded_as("padding SAME_UPPER", lambda site: "SAME_UPPER")
    yield _padded_as("padding SAME_LOWER", lower)
    yield _padded_as("padding symmetric", _symmetric)
    yield Attribute(
        name="padding moved by a row",
        op=kind,
        covers=("padding",),
        make=lambda site: _shifted(site, 1, 0),
    )
    yield Attribute(
        name="padding moved by a column",
        op=kind,
        covers=("padding",),
        make=lambda site: _shifted(site, 0, 1),
    )
    for name, how in COPIES.items():
        yield bordered(
            kind,
            name,
            partial(_copied, how=how),
            when=lambda site: padded(site) and min(site.inputs[0][2:]) > 1,
        )
    yield bordered(kind, "padding with ones", lambda ns, x, sides: with_zeros(ns, x - 1, sides) + 1)
    yield Attribute(
        name="dilation 1 and 2 exchanged",
        op=kind,
        covers=("dilation",),
        when=lambda site: _has_taps(site) and min(site.inputs[0][2:]) > 1,
        make=_dilated,
    )
    yield simple(
        kind,
        "channels of the groups interleaved",
        lambda ns, layer, x, op: layer(ns.take(x, _interleaved(op.groups, op.in_channels), 1)),
        covers=("groups",),
        when=lambda site: 1 < site.op.groups < site.op.in_channels,
    )
    yield simple(
        kind,
        "each group reads the next one's channels",
        lambda ns, layer, x, op: layer(
            ns.take(
                x,
                [(i + op.in_channels // op.groups) % op.in_channels for i in range(op.in_channels)],
                1,
            )
        ),
        covers=("groups",),
        when=_grouped,
    )
    yield Arrays(
        name="filters of the groups rolled",
        op=kind,
        covers=("weight", "groups"),
        when=_grouped,
        change=lambda held, op: {
            "weight": np.roll(held["weight"], op.out_channels // op.groups, 0)
        },
    )
    yield Arrays(
        name="filters of all groups are those of the first",
        op=kind,
        covers=("weight", "groups"),
        when=_grouped,
        change=lambda held, op: {
            "weight": np.tile(held["weight"][: op.out_channels // op.groups], (op.groups, 1, 1, 1))
        },
    )
    yield from _taps()


def _taps() -> Iterator[Mutation]:
    """Mistakes in what a filter's taps are."""
    kind = Conv2d

    def tap(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
        return weights(kind, name, change, "kernel_size", when=_has_taps)

    yield tap("kernel flipped, true convolution", lambda w: w[:, :, ::-1, ::-1])
    yield weights(
        kind, "kernel transposed", lambda w: w.swapaxes(2, 3), "kernel_size",
        when=lambda site: _has_taps(site) and len(set(site.op.kernel_size)) == 1,
    )  # fmt: skip
    yield tap("kernel turned upside down", lambda w: w[:, :, ::-1])
    yield tap("last tap zero", lambda w: put(w, np.s_[:, :, -1, -1], 0))
    yield tap("first tap zero", lambda w: put(w, np.s_[:, :, 0, 0], 0))
    yield tap("only the middle tap", lambda w: w * _middle(w))
    yield tap("taps rolled by one", lambda w: np.roll(w, 1, 3))
    yield tap(
        "last tap of one filter off by a thousandth",
        lambda w: put(w, np.s_[-1, :, -1, -1], w[-1, :, -1, -1] + 1e-3),
    )
    yield weights(
        kind, "OHWI read as OIHW", lambda w: w.transpose(0, 2, 3, 1).reshape(w.shape),
        "kernel_size", when=lambda site: _has_taps(site) and reads_several(site),
    )  # fmt: skip
    yield weights(
        kind, "HWIO read as OIHW", lambda w: w.transpose(2, 3, 1, 0).reshape(w.shape),
        "kernel_size", when=_has_taps,
    )  # fmt: skip


def _middle(w: np.ndarray) -> np.ndarray:
    mask = np.zeros(w.shape[2:], w.dtype)
    mask[w.shape[2] // 2, w.shape[3] // 2] = 1
    return mask
