"""Mistakes in convolutions and linear layers: attributes, filters, biases, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import Conv2d, Linear, Padding, Sides
from zoo.proof.mutants.arithmetic import enlarged, padding_of, positive, with_zeros
from zoo.proof.mutants.mutation import (
    Arrays,
    Attribute,
    Function,
    Mutation,
    Namespace,
    Site,
)
from zoo.proof.mutants.windows import NONE, lower, padded, resolved, starts_elsewhere, thinned


def _weight(
    kind: type[Operator],
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    *covers: str,
    when: Callable[[Site], bool] = lambda site: True,
) -> Arrays:
    """A mistake in the filters."""
    return Arrays(
        name=name,
        op=kind,
        covers=("weight", *covers),
        when=when,
        change=lambda held, op: {"weight": change(held["weight"].copy())},
    )


def _bias(kind: type[Operator], name: str, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    return Arrays(
        name=name,
        op=kind,
        covers=("bias",),
        when=lambda site: site.op.bias,
        change=lambda held, op: {"bias": change(held["bias"].copy())},
    )


def _set(array: np.ndarray, where: Any, value: Any) -> np.ndarray:
    array[where] = value
    return array


def _filters(kind: type[Operator], made: str, read: str) -> Iterator[Mutation]:
    """What convolutions and linear layers share; axis 0 of a weight is made, axis 1 is read."""
    several = _reads_several
    yield _weight(kind, "outputs rolled by one", lambda w: np.roll(w, 1, 0), made)
    yield _weight(kind, "last output is the one before", lambda w: _set(w, -1, w[-2]), made)
    yield _weight(kind, "inputs rolled by one", lambda w: np.roll(w, 1, 1), read, when=several)
    yield _weight(kind, "last input not read", lambda w: _set(w, np.s_[:, -1], 0), read)
    yield _weight(kind, "last filter off by a thousandth", lambda w: _set(w, -1, w[-1] * 1.001))
    yield _weight(kind, "one filter negated", lambda w: _set(w, 0, -w[0]))
    yield _weight(kind, "filters in half precision", lambda w: w.astype(np.float16))
    yield _weight(
        kind,
        "inputs and outputs exchanged",
        lambda w: w.swapaxes(0, 1),
        made,
        read,
        when=lambda site: len(set(_weight_shape(site)[:2])) == 1 and several(site),
    )
    yield _bias(kind, "bias forgotten", np.zeros_like)
    yield _bias(kind, "bias rolled by one", lambda b: np.roll(b, 1))
    yield _bias(kind, "bias subtracted", np.negative)
    yield _bias(kind, "bias added twice", lambda b: b * 2)
    yield _bias(kind, "last bias off by a thousandth", lambda b: _set(b, -1, b[-1] + 1e-3))
    yield Function(
        name="a bias where none belongs",
        op=kind,
        covers=("bias",),
        when=lambda site: not site.op.bias,
        body=lambda ns, layer, x, op, held, training: layer(x[0]) + 0.01,
    )
    yield Function(
        name="a ReLU after it",
        op=kind,
        body=lambda ns, layer, x, op, held, training: positive(layer(x[0])),
    )
    yield Function(
        name="gradient to the input cut",
        op=kind,
        level="gradients",
        when=lambda site: site.node.inputs[0] != "input",
        body=lambda ns, layer, x, op, held, training: layer(ns.detach(x[0])),
    )
    yield Function(
        name="gradient to the filters cut", op=kind, covers=("weight",), level="gradients",
        body=_without_filters,
    )  # fmt: skip
    yield Function(
        name="gradient to the bias cut",
        op=kind,
        covers=("bias",),
        level="gradients",
        when=lambda site: site.op.bias,
        body=_without_bias,
    )


def _without_filters(
    ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
) -> Any:
    # The layer of zeros gives the filters a gradient of zero, and the input its own.
    value, zeros = layer(x[0]), x[0] - ns.detach(x[0])
    return ns.detach(value) + layer(zeros) - ns.detach(layer(zeros))


def _without_bias(
    ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
) -> Any:
    nothing = layer(ns.detach(x[0]) * 0)
    return layer(x[0]) - nothing + ns.detach(nothing)


def _weight_shape(site: Site) -> tuple[int, ...]:
    return tuple(site.op.parameters()["weight"].shape)


def _reads_several(site: Site) -> bool:
    return _weight_shape(site)[1] > 1


def _has_taps(site: Site) -> bool:
    return bool(max(site.op.kernel_size) > 1)


def _grouped(site: Site) -> bool:
    return bool(site.op.groups > 1)


def linear() -> Iterator[Mutation]:
    """Linear."""
    yield from _filters(Linear, "out_features", "in_features")
    yield Function(
        name="inputs in reverse",
        op=Linear,
        covers=("in_features",),
        body=lambda ns, layer, x, op, held, training: layer(
            ns.take(x[0], list(range(op.in_features))[::-1], 1)
        ),
    )


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


def _padding(name: str, how: str) -> Function:
    def body(
        ns: Namespace, layer: Any, x: tuple[Any, ...], op: Any, held: Any, training: bool
    ) -> Any:
        return layer(enlarged(ns, x[0], padding_of(op, x[0]), how))

    return Function(
        name=name,
        op=Conv2d,
        covers=("padding",),
        when=lambda site: padded(site) and min(site.inputs[0][2:]) > 1,
        inner=lambda site: replace(site.op, padding=NONE),
        body=body,
    )


def conv() -> Iterator[Mutation]:
    """Conv2d."""
    kind = Conv2d
    yield from _filters(kind, "out_channels", "in_channels")
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
    yield _padding("padding with the edge", "edge")
    yield _padding("padding mirrored", "mirrored")
    yield _padding("padding from the other side", "round")
    yield Function(
        name="padding with ones",
        op=kind,
        covers=("padding",),
        when=padded,
        inner=lambda site: replace(site.op, padding=NONE),
        body=lambda ns, layer, x, op, held, training: layer(
            with_zeros(ns, x[0] - 1, padding_of(op, x[0])) + 1
        ),
    )
    yield Attribute(
        name="dilation 1 and 2 exchanged",
        op=kind,
        covers=("dilation",),
        when=lambda site: _has_taps(site) and min(site.inputs[0][2:]) > 1,
        make=_dilated,
    )
    yield Function(
        name="channels of the groups interleaved",
        op=kind,
        covers=("groups",),
        when=lambda site: 1 < site.op.groups < site.op.in_channels,
        body=lambda ns, layer, x, op, held, training: layer(
            ns.take(x[0], _interleaved(op.groups, op.in_channels), 1)
        ),
    )
    yield Function(
        name="each group reads the next one's channels",
        op=kind,
        covers=("groups",),
        when=_grouped,
        body=lambda ns, layer, x, op, held, training: layer(
            ns.take(
                x[0],
                [(i + op.in_channels // op.groups) % op.in_channels for i in range(op.in_channels)],
                1,
            )
        ),
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
        return _weight(kind, name, change, "kernel_size", when=_has_taps)

    yield tap("kernel flipped, true convolution", lambda w: w[:, :, ::-1, ::-1])
    yield _weight(
        kind, "kernel transposed", lambda w: w.swapaxes(2, 3), "kernel_size",
        when=lambda site: _has_taps(site) and len(set(site.op.kernel_size)) == 1,
    )  # fmt: skip
    yield tap("kernel turned upside down", lambda w: w[:, :, ::-1])
    yield tap("last tap zero", lambda w: _set(w, np.s_[:, :, -1, -1], 0))
    yield tap("first tap zero", lambda w: _set(w, np.s_[:, :, 0, 0], 0))
    yield tap("only the middle tap", lambda w: w * _middle(w))
    yield tap("taps rolled by one", lambda w: np.roll(w, 1, 3))
    yield tap(
        "last tap of one filter off by a thousandth",
        lambda w: _set(w, np.s_[-1, :, -1, -1], w[-1, :, -1, -1] + 1e-3),
    )
    yield _weight(
        kind, "OHWI read as OIHW", lambda w: w.transpose(0, 2, 3, 1).reshape(w.shape),
        "kernel_size", when=lambda site: _has_taps(site) and _reads_several(site),
    )  # fmt: skip
    yield _weight(
        kind, "HWIO read as OIHW", lambda w: w.transpose(2, 3, 1, 0).reshape(w.shape),
        "kernel_size", when=_has_taps,
    )  # fmt: skip


def _middle(w: np.ndarray) -> np.ndarray:
    mask = np.zeros(w.shape[2:], w.dtype)
    mask[w.shape[2] // 2, w.shape[3] // 2] = 1
    return mask


def affine() -> Iterator[Mutation]:
    """Return the mutations of convolutions and linear layers."""
    yield from conv()
    yield from linear()
