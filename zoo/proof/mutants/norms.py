"""Mistakes in batch norm: attributes, arrays, the statistics of either mode, their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.arch.operators import BatchNorm2d
from zoo.proof.mutants.arithmetic import positive, size_of
from zoo.proof.mutants.deductions import shift_vanishes
from zoo.proof.mutants.mutation import Arrays, Attribute, Body, Function, Mutation, Namespace

STATISTICS = ("running_mean", "running_var")


def _attribute(name: str, level: str, covers: str, **changes: Callable[[Any], float]) -> Attribute:
    return Attribute(
        name=name,
        op=BatchNorm2d,
        covers=(covers,),
        level=level,
        make=lambda site: replace(site.op, **{key: f(site.op) for key, f in changes.items()}),
    )


def _arrays(name: str, *covers: str, **changes: Callable[[Any], np.ndarray]) -> Arrays:
    return Arrays(
        name=name,
        op=BatchNorm2d,
        covers=covers,
        change=lambda held, op: {role: change(held) for role, change in changes.items()},
    )


def _function(name: str, level: str, body: Body, *covers: str) -> Function:
    return Function(name=name, op=BatchNorm2d, covers=covers, level=level, body=body)


def _raised(array: np.ndarray) -> np.ndarray:
    return np.append(array[:-1], array[-1] * 1.001 + 1e-4)


def _off(held: Any, role: str) -> np.ndarray:
    return _raised(held[role])


def _moments(ns: Namespace, x: Any) -> tuple[Any, Any]:
    mean = ns.mean(x, (0, 2, 3))
    return mean, ns.mean((x - mean) * (x - mean), (0, 2, 3))


def _affine(held: Mapping[str, Any], x: Any, mean: Any, var: Any, eps: float) -> Any:
    shape = (1, -1, 1, 1)
    scale, shift = held["weight"].reshape(shape), held["bias"].reshape(shape)
    return (x - mean) / (var + eps) ** 0.5 * scale + shift


def _unbiased(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
    """Normalize by the unbiased variance."""
    y = layer(x[0])
    if not training:
        return y
    mean, var = _moments(ns, x[0])
    count = size_of(x[0])
    return _affine(held, x[0], mean, var * (count / (count - 1)), op.eps)


def _by_batch(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
    """Use the batch's statistics in evaluation."""
    if training:
        return layer(x[0])
    return _affine(held, x[0], *_moments(ns, x[0]), op.eps)


def _by_running(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
    """Use the running statistics in training, and update them."""
    if not training:
        return layer(x[0])
    before = [ns.copy(held[role]).reshape((1, -1, 1, 1)) for role in STATISTICS]
    layer(x[0])
    return _affine(held, x[0], before[0], before[1], op.eps)


def _by_image(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
    """Normalize each image by itself in training."""
    y = layer(x[0])
    if not training:
        return y
    mean = ns.mean(x[0], (2, 3))
    var = ns.mean((x[0] - mean) * (x[0] - mean), (2, 3))
    return _affine(held, x[0], mean, var, op.eps)


def _detached(*which: str) -> Body:
    """Leave the gradient of the batch's mean or variance out."""

    def body(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
        if not training:
            return layer(x[0])
        layer(x[0])
        mean, var = _moments(ns, x[0])
        if "mean" in which:
            # The variance has a mean of its own, through which no gradient goes anyway.
            mean = ns.detach(mean)
        if "var" in which:
            var = ns.detach(var)
        return _affine(held, x[0], mean, var, op.eps)

    return body


def _running(update: Callable[[Namespace, Any, Any, dict[str, Any], Any], dict[str, Any]]) -> Body:
    """Record other running statistics; ``update`` is given those before and the batch's."""

    def body(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
        before = {role: ns.copy(held[role]) for role in STATISTICS}
        y = layer(x[0])
        if training:
            for role, value in update(ns, x[0], op, before, held).items():
                ns.assign(held[role], value)
        return y

    return body


def _biased(ns: Namespace, x: Any, op: Any, before: dict[str, Any], held: Any) -> dict[str, Any]:
    _, var = _moments(ns, ns.detach(x))
    old = before["running_var"]
    return {"running_var": old + op.momentum * (var.reshape(old.shape) - old)}


def _twice(ns: Namespace, x: Any, op: Any, before: dict[str, Any], held: Any) -> dict[str, Any]:
    # The second update is to the same batch: (1 - m) of the way to it once more.
    return {
        role: before[role] + (2 - op.momentum) * (ns.copy(held[role]) - before[role])
        for role in STATISTICS
    }


def _in_evaluation(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
    y = layer(x[0])
    if not training:
        mean, var = _moments(ns, ns.detach(x[0]))
        for role, value in (("running_mean", mean), ("running_var", var)):
            old = ns.copy(held[role])
            ns.assign(held[role], old + op.momentum * (value.reshape(old.shape) - old))
    return y


def norms() -> Iterator[Mutation]:
    """Return the mutations of BatchNorm2d."""
    yield _attribute("eps × 10", "forward", "eps", eps=lambda op: op.eps * 10)
    yield _attribute("eps 1e-3 and 1e-5 exchanged", "forward", "eps",
                     eps=lambda op: 1e-5 if op.eps > 1e-4 else 1e-3)  # fmt: skip
    yield _attribute("eps forgotten", "forward", "eps", eps=lambda op: 1e-12)
    statistics = "batch_statistics"
    yield _attribute("momentum is one minus it", statistics, "momentum",
                     momentum=lambda op: 1 - op.momentum)  # fmt: skip
    yield _attribute("momentum off by a thousandth", statistics, "momentum",
                     momentum=lambda op: op.momentum * 1.001)  # fmt: skip
    yield _attribute("momentum 1", statistics, "momentum", momentum=lambda op: 1.0)
    yield _attribute("momentum 0.01", statistics, "momentum", momentum=lambda op: 0.01)

    yield _arrays("gamma and beta exchanged", "weight", "bias",
                  weight=lambda h: h["bias"], bias=lambda h: h["weight"])  # fmt: skip
    yield _arrays("mean and variance exchanged", *STATISTICS,
                  running_mean=lambda h: h["running_var"],
                  running_var=lambda h: np.abs(h["running_mean"]))  # fmt: skip
    yield _arrays("gamma forgotten", "weight", weight=lambda h: np.ones_like(h["weight"]))
    yield _arrays("beta forgotten", "bias", bias=lambda h: np.zeros_like(h["bias"]))
    yield _arrays("running mean forgotten", "running_mean",
                  running_mean=lambda h: np.zeros_like(h["running_mean"]))  # fmt: skip
    yield _arrays("running variance forgotten", "running_var",
                  running_var=lambda h: np.ones_like(h["running_var"]))  # fmt: skip
    for role in ("weight", "bias", *STATISTICS):
        yield _arrays(f"{role} rolled by one", role, "num_features",
                      **{role: lambda h, role=role: np.roll(h[role], 1)})  # fmt: skip
        yield _arrays(f"last {role} off by a thousandth", role,
                      **{role: lambda h, role=role: _off(h, role)})  # fmt: skip
    yield _arrays("variance read as deviation", "running_var",
                  running_var=lambda h: h["running_var"] ** 2)  # fmt: skip
    yield _arrays("deviation read as variance", "running_var",
                  running_var=lambda h: np.sqrt(h["running_var"]))  # fmt: skip

    yield _function("statistics of the batch in evaluation", "forward", _by_batch)
    yield _function("running statistics move in evaluation", "forward", _in_evaluation, *STATISTICS)
    yield _function("a ReLU after it", "forward",
                    lambda ns, layer, x, op, held, training: positive(layer(x[0])))  # fmt: skip
    yield _function("running statistics in training", statistics, _by_running)
    yield _function("unbiased variance for normalizing", statistics, _unbiased)
    yield _function("statistics of each image in training", statistics, _by_image)
    yield _function("running variance biased", statistics, _running(_biased), "running_var")
    yield _function("running statistics not updated", statistics,
                    _running(lambda ns, x, op, before, held: before), *STATISTICS)  # fmt: skip
    yield _function("running mean not updated", statistics, _running(
        lambda ns, x, op, before, held: {"running_mean": before["running_mean"]}
    ), "running_mean")  # fmt: skip
    yield _function("running statistics updated twice", statistics, _running(_twice), *STATISTICS)
    yield _function("running statistics of the first image", statistics, _running(
        lambda ns, x, op, before, held: {"running_mean": before["running_mean"] + op.momentum * (
            ns.mean(ns.detach(x)[:1], (0, 2, 3)).reshape(before["running_mean"].shape)
            - before["running_mean"])}
    ), "running_mean")  # fmt: skip
    yield _function("gradient of the statistics cut", "gradients", _detached("mean", "var"))
    yield replace(
        _function("gradient of the mean cut", "gradients", _detached("mean")),
        equivalent=lambda site: (
            "a batch norm behind it takes every shift away: the mean has a gradient of zero"
            if shift_vanishes(site.graph, site.node.name)
            else None
        ),
    )
    yield _function("gradient of the variance cut", "gradients", _detached("var"))
    for role in ("weight", "bias"):
        yield _function(f"gradient to the {role} cut", "gradients", _frozen(role), role)


def _frozen(role: str) -> Body:
    def body(ns: Namespace, layer: Any, x: Any, op: Any, held: Any, training: bool) -> Any:
        y = layer(x[0])
        shape = (1, -1, 1, 1)
        held_now = held[role].reshape(shape)
        if role == "bias":
            return y - held_now + ns.detach(held_now)
        # What the gamma multiplies, without a gradient of its own.
        normal = ns.detach((y - held["bias"].reshape(shape)) / held_now)
        return y - normal * held_now + ns.detach(normal * held_now)

    return body
