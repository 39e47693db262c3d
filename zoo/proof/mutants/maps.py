"""Mistakes in reductions, padding, upsampling and transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from zoo.arch import Operator
from zoo.arch.operators import ConvTranspose2d, Pad2d, Reduce, Upsample
from zoo.proof.mutants.arithmetic import gradient_of, rolled
from zoo.proof.mutants.mutation import Arrays, Attribute, Held, Mutation, Namespace, Site, simple


def _other(kind: type, name: str, /, *covers: str, when: Any = None, **fields: Any) -> Attribute:
    """The same with other fields, which are functions of the operator."""

    def make(site: Site) -> Operator:
        values = {field: value(site.op) for field, value in fields.items()}
        return cast(Operator, replace(site.op, **values))

    admitted = when or (lambda op: True)
    return Attribute(
        name=name, op=kind, covers=covers, make=make, when=lambda site: admitted(site.op)
    )


def _moved(ns: Namespace, layer: Any, x: Any, op: Any) -> Any:
    return rolled(ns, layer(x), 2)


def reductions() -> Iterator[Mutation]:
    """Reduce."""
    kind = Reduce
    for other in ("mean", "sum", "amax"):
        yield _other(
            kind, f"{other} in its place", "kind",
            when=lambda op, other=other: op.kind != other, kind=lambda op, other=other: other,
        )  # fmt: skip
    yield simple(
        kind, "the last of an axis left out",
        lambda ns, layer, x, op: layer(
            ns.take(x, list(range(int(x.shape[op.dim[-1]]) - 1)), op.dim[-1])
        ),
        covers=("dim",),
    )  # fmt: skip
    yield simple(
        kind, "smallest for largest", lambda ns, layer, x, op: -layer(-x), covers=("kind",),
        when=lambda site: site.op.kind == "amax",
    )  # fmt: skip
    yield simple(
        kind, "what is left in another order",
        lambda ns, layer, x, op: rolled(ns, layer(x), next(
            i for i, n in enumerate(layer(x).shape) if i and n > 1
        )),
        covers=("keepdim",),
    )  # fmt: skip
    yield simple(
        kind, "gradient to all of the axes",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), ns.mean(x, op.dim)),
        level="gradients", when=lambda site: site.op.kind == "amax",
    )  # fmt: skip


def paddings() -> Iterator[Mutation]:
    """Pad2d."""
    kind = Pad2d

    def uncut(op: Pad2d) -> bool:
        return min(op.sides) >= 0

    for other in ("constant", "reflect", "replicate"):
        yield _other(
            kind, f"{other} for its mode", "mode",
            when=lambda op, other=other: op.mode != other and uncut(op),
            mode=lambda op, other=other: other, value=lambda op: 0.0,
        )  # fmt: skip
    turned = {"sides": lambda op: (*op.sides[2:], *op.sides[:2])}
    yield _other(kind, "sides exchanged", "sides", **turned)
    yield _other(
        kind, "zero for its value", "value", when=lambda op: op.value != 0, value=lambda op: 0.0
    )
    yield simple(kind, "moved by a row", _moved, covers=("sides",))


def upsamplings() -> Iterator[Mutation]:
    """Upsample."""
    kind = Upsample
    yield _other(
        kind, "the other mode", "mode",
        mode=lambda op: "nearest" if op.mode == "bilinear" else "bilinear",
        align_corners=lambda op: False,
    )  # fmt: skip
    yield _other(
        kind, "align_corners flipped", "align_corners", when=lambda op: op.mode == "bilinear",
        align_corners=lambda op: not op.align_corners,
    )  # fmt: skip
    yield simple(kind, "moved by a row", _moved, covers=("size", "scale_factor"))
    yield simple(
        kind, "one pixel of two, repeated",
        lambda ns, layer, x, op: layer(
            ns.take(x, [i // 2 * 2 for i in range(int(x.shape[2]))], 2)
        ),
        covers=("size", "scale_factor"),
    )  # fmt: skip


def _changed(change: Callable[[Any], Any], held: Held, op: Any) -> Held:
    return {"weight": change(held["weight"])}


def transposed() -> Iterator[Mutation]:
    """ConvTranspose2d."""
    kind = ConvTranspose2d
    changes: dict[str, tuple[tuple[str, ...], Callable[[Any], Any]]] = {
        "filters turned around": (("kernel_size",), lambda w: w[:, :, ::-1, ::-1]),
        "what is read in another order": (("in_channels",), lambda w: w[::-1]),
        "what is made in another order": (("out_channels", "groups"), lambda w: w[:, ::-1]),
    }
    for name, (covers, change) in changes.items():
        yield Arrays(
            name=name, op=kind, covers=("weight", *covers),
            change=partial(_changed, change),
        )  # fmt: skip
    yield Arrays(
        name="bias left out", op=kind, covers=("bias",), when=lambda site: site.op.bias,
        change=lambda held, op: {"bias": 0 * held["bias"]},
    )  # fmt: skip
    yield simple(
        kind, "output_padding ignored, the last row repeated",
        lambda ns, layer, x, op: ns.take(
            layer(x), [*range(int(layer(x).shape[2]) - 1), int(layer(x).shape[2]) - 2], 2
        ),
        covers=("output_padding",), when=lambda site: max(site.op.output_padding) > 0,
    )  # fmt: skip
    yield simple(kind, "padding cut off a row later", _moved, covers=("padding",))
    yield simple(
        kind, "each value repeated",
        lambda ns, layer, x, op: ns.take(
            layer(x), [i // 2 * 2 for i in range(int(layer(x).shape[2]))], 2
        ),
        covers=("stride",),
    )  # fmt: skip
    yield _other(
        kind, "dilation ignored", "dilation", when=_may_be_dense,
        dilation=lambda op: (1, 1), padding=_dense,
    )  # fmt: skip


def _dense(op: ConvTranspose2d) -> tuple[int, int]:
    """Return the padding with which the output is as large without dilation."""
    (p, q), (k, m), (d, e) = op.padding, op.kernel_size, op.dilation
    return (p - (d - 1) * (k - 1) // 2, q - (e - 1) * (m - 1) // 2)


def _may_be_dense(op: ConvTranspose2d) -> bool:
    return max(op.dilation) > 1 and min(_dense(op)) >= 0


def maps() -> Iterator[Mutation]:
    """Return the mutations of all of them."""
    for mutations in (reductions, paddings, upsamplings, transposed):
        yield from mutations()
