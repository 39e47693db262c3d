"""Mistakes that can be made in any operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.arch import Operator
from zoo.proof.mutants.arithmetic import cut, last, rolled
from zoo.proof.mutants.mutation import Function, Mutation, Namespace, Site


def _last_channel_off(
    ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool
) -> Any:
    y = layer(*x)
    return y + 0.001 * y * last(ns, y)


def _not_last(site: Site) -> bool:
    """A network whose output has no gradient has none at all, which no framework would take."""
    return site.node.name not in site.graph.outputs


def general(kind: type[Operator]) -> Iterator[Mutation]:
    """Return the mutations that every operator has, for one type of it."""
    yield Function(
        name="computed in half precision",
        op=kind,
        body=lambda ns, layer, x, op, held, training: ns.half(layer(*x)),
    )
    yield Function(name="last channel off by a thousandth", op=kind, body=_last_channel_off)
    yield Function(
        name="images in another order",
        op=kind,
        body=lambda ns, layer, x, op, held, training: rolled(ns, layer(*x), 0),
    )
    yield Function(
        name="off by a thousandth in training alone",
        op=kind,
        level="batch_statistics",
        body=lambda ns, layer, x, op, held, training: layer(*x) * (1.001 if training else 1.0),
    )
    yield Function(
        name="gradient off by a thousandth",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: (
            lambda y: y * 1.001 - ns.detach(y * 0.001)
        )(layer(*x)),
    )
    yield Function(
        name="gradient doubled",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: (lambda y: y * 2 - ns.detach(y))(layer(*x)),
    )
    yield Function(
        name="gradient cut",
        op=kind,
        level="gradients",
        when=_not_last,
        body=lambda ns, layer, x, op, held, training: ns.detach(layer(*x)),
    )
    yield Function(
        name="gradient of the last channel cut",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: (
            lambda y: cut(ns, y, last(ns, y))
        )(layer(*x)),
    )
    yield Function(
        name="gradient of the last image cut",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: (
            lambda y: cut(ns, y, last(ns, y, 0))
        )(layer(*x)),
    )  # fmt: skip
