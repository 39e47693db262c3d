"""Mistakes in what convolutions and linear layers share: filters, biases, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import Linear
from zoo.proof.mutants.arithmetic import flipped, positive
from zoo.proof.mutants.mutation import Arrays, Function, Mutation, Namespace, Site, simple


def weights(
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


def put(array: np.ndarray, where: Any, value: Any) -> np.ndarray:
    """Write into an array, and return it."""
    array[where] = value
    return array


def filters(kind: type[Operator], made: str, read: str) -> Iterator[Mutation]:
    """What convolutions and linear layers share; axis 0 of a weight is made, axis 1 is read."""
    yield weights(kind, "outputs rolled by one", lambda w: np.roll(w, 1, 0), made)
    yield weights(kind, "last output is the one before", lambda w: put(w, -1, w[-2]), made)
    yield weights(
        kind, "inputs rolled by one", lambda w: np.roll(w, 1, 1), read, when=reads_several
    )
    yield weights(kind, "last input not read", lambda w: put(w, np.s_[:, -1], 0), read)
    yield weights(kind, "last filter off by a thousandth", lambda w: put(w, -1, w[-1] * 1.001))
    yield weights(kind, "one filter negated", lambda w: put(w, 0, -w[0]))
    yield weights(kind, "filters in half precision", lambda w: w.astype(np.float16))
    yield weights(
        kind,
        "inputs and outputs exchanged",
        lambda w: w.swapaxes(0, 1),
        made,
        read,
        when=lambda site: len(set(_weight_shape(site)[:2])) == 1 and reads_several(site),
    )
    yield _bias(kind, "bias forgotten", np.zeros_like)
    yield _bias(kind, "bias rolled by one", lambda b: np.roll(b, 1))
    yield _bias(kind, "bias subtracted", np.negative)
    yield _bias(kind, "bias added twice", lambda b: b * 2)
    yield _bias(kind, "last bias off by a thousandth", lambda b: put(b, -1, b[-1] + 1e-3))
    yield simple(
        kind,
        "a bias where none belongs",
        lambda ns, layer, x, op: layer(x) + 0.01,
        covers=("bias",),
        when=lambda site: not site.op.bias,
    )
    yield simple(kind, "a ReLU after it", lambda ns, layer, x, op: positive(layer(x)))
    yield simple(
        kind,
        "gradient to the input cut",
        lambda ns, layer, x, op: layer(ns.detach(x)),
        level="gradients",
        when=lambda site: site.node.inputs[0] != "input",
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


def reads_several(site: Site) -> bool:
    """Return whether each filter reads more than one channel."""
    return _weight_shape(site)[1] > 1


def linear() -> Iterator[Mutation]:
    """Linear."""
    yield from filters(Linear, "out_features", "in_features")
    yield simple(
        Linear,
        "inputs in reverse",
        lambda ns, layer, x, op: layer(flipped(ns, x, len(x.shape) - 1)),
        covers=("in_features",),
    )
