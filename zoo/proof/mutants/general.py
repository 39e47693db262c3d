"""Mistakes that can be made in any operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from zoo.arch import Operator
from zoo.arch.operators import Expand
from zoo.proof.mutants.arithmetic import cut, last, rolled
from zoo.proof.mutants.mutation import Body, Function, Mutation, Namespace, Site


def _after(change: Callable[[Namespace, Any], Any]) -> Body:
    """Return a body that changes what the layer makes: it is called once, as batch norms want."""
    return lambda ns, layer, x, op, held, training: change(ns, layer(*x))


def _not_last(site: Site) -> bool:
    """A network whose output has no gradient has none at all, which no framework would take."""
    return site.node.name not in site.graph.outputs


def _any(site: Site) -> bool:
    return True


def _has_channels(site: Site) -> bool:
    return len(site.output) > 1


def _has_images(site: Site) -> bool:
    """Return whether axis 0 has several places."""
    return site.node.name not in site.graph.fixed or site.output[:1] > (1,)


def general(kind: type[Operator]) -> Iterator[Mutation]:
    """Return the mutations that every operator has, for one type of it."""
    values: dict[str, Callable[[Namespace, Any], Any]] = {
        "computed in half precision": lambda ns, y: ns.half(y),
        "last channel off by a thousandth": lambda ns, y: y + 0.001 * y * last(ns, y),
        "images in another order": lambda ns, y: rolled(ns, y, 0),
    }
    if kind is Expand:  # whose images are all the same
        del values["images in another order"]
    for name, change in values.items():
        when = _has_images if "images" in name else _has_channels if "channel" in name else _any
        yield Function(name=name, op=kind, body=_after(change), when=when)
    yield Function(
        name="off by a thousandth in training alone",
        op=kind,
        level="batch_statistics",
        body=lambda ns, layer, x, op, held, training: layer(*x) * (1.001 if training else 1.0),
    )
    gradients: dict[str, Callable[[Namespace, Any], Any]] = {
        "gradient off by a thousandth": lambda ns, y: y * 1.001 - ns.detach(y * 0.001),
        "gradient doubled": lambda ns, y: y * 2 - ns.detach(y),
        "gradient of the last channel cut": lambda ns, y: cut(ns, y, last(ns, y)),
        "gradient of the last image cut": lambda ns, y: cut(ns, y, last(ns, y, 0)),
    }
    for name, change in gradients.items():
        when = _has_images if "image" in name else _has_channels if "channel" in name else _any
        yield Function(name=name, op=kind, level="gradients", body=_after(change), when=when)
    yield Function(
        name="gradient cut",
        op=kind,
        level="gradients",
        when=_not_last,
        body=_after(lambda ns, y: ns.detach(y)),
    )
