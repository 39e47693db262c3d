"""Every operator by itself: what a candidate made of its own inputs, against the float64 reference.

Compared from the image on, a difference at one node shows at all that follow, and has to be told
from what rounding has added up to until there. So each node is also held against the reference's
operator on the very values that the candidate handed to it: nothing adds up, what is off is the
node's own, and what it may be off by is what one kernel rounds (`zoo.proof.kernels`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from backends.numpy.operators import apply
from zoo.arch import INPUT, Graph, Node, Operator
from zoo.arch.operators import (
    AddScalar,
    BatchNorm2d,
    Clamp,
    Dropout,
    GroupNorm,
    LayerNorm,
    MulScalar,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Softmax,
)
from zoo.passes import Weights
from zoo.proof.local_tokens import token_magnitude

Arrays = dict[str, np.ndarray]

FEW = 32
"""Of fewer values than this, masks may be alike by chance."""


@dataclass(frozen=True)
class Own:
    """The error of a value in units of what its operator adds up.

    Attributes:
        name: a node, or one of its running statistics.
        node: the node.
        error: the largest of any channel.
    """

    name: str
    node: Node
    error: float


def own_errors(
    graph: Graph,
    weights: Weights,
    images: np.ndarray,
    values: Arrays,
    buffers: Arrays,
    wrong: Collection[str] = (),
    apart: Collection[str] = (),
    *,
    training: bool,
) -> Iterator[Own]:
    """Yield the error of each node that a candidate has the inputs of, and of its statistics.

    What cannot be compared at all is infinitely far, and those that read it are left out.

    Args:
        graph: the network that the candidate should have run.
        weights: what it was given; canonical name → float32 array.
        images: likewise.
        values: the candidate's, by node.
        buffers: its running statistics after the call.
        wrong: names of values and statistics that cannot be compared, see `measure.faults`.
        apart: nodes whose value is of another run than those that it was made of.
        training: whether it was in training mode.
    """
    known = {INPUT: images} | {n: value for n, value in values.items() if n not in wrong}
    for node in graph.nodes:
        if node.name in wrong:
            yield Own(node.name, node, float("inf"))
            continue
        if node.name not in known or any(name not in known for name in node.inputs):
            continue  # a rewritten network has other nodes
        if node.name in apart:
            continue
        inputs = [known[name].astype(np.float64) for name in node.inputs]
        held = {
            role: weights[f"{node.name}.{role}"].astype(np.float64) for role in node.op.parameters()
        }
        found = known[node.name]
        if isinstance(node.op, Dropout) and training and node.op.p > 0:
            yield Own(node.name, node, _dropped(node.op, inputs[0], found))
            continue
        after = {role: array.copy() for role, array in held.items()}
        exact = apply(node.op, inputs, after, training)
        unit = magnitude(node.op, inputs, held, exact, training)
        yield Own(node.name, node, in_units(found, exact, unit))
        if training and isinstance(node.op, BatchNorm2d):
            for role, unit in _statistics_units(node.op, inputs[0], held).items():
                name = f"{node.name}.{role}"
                error = np.inf if name in wrong else in_units(buffers[name], after[role], unit)
                yield Own(name, node, float(error))


def in_units(found: np.ndarray, exact: np.ndarray, unit: np.ndarray) -> float:
    """Return the largest error of any channel over the largest unit of that channel."""
    if found.shape != exact.shape or not np.isfinite(found).all():
        return float("inf")
    others = tuple(axis for axis in range(exact.ndim) if axis != min(1, exact.ndim - 1))
    error = np.abs(found - exact).max(axis=others)
    units = np.broadcast_to(unit, exact.shape).max(axis=others)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(error == 0, 0, error / units)
    return float(shares.max())


def magnitude(
    op: Operator, inputs: list[np.ndarray], held: Arrays, exact: np.ndarray, training: bool
) -> np.ndarray:
    """Return the sum of the absolute terms that each value is made of: what rounding scales with.

    It is what the operator makes of absolute inputs and parameters, where it is made of sums and
    products (the running error analysis of Higham, "Accuracy and Stability of Numerical
    Algorithms", 3.3).
    """
    if isinstance(op, BatchNorm2d):
        x = inputs[0]
        mean, var = held["running_mean"], held["running_var"]
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        scale = np.abs(held["weight"]) / np.sqrt(var + op.eps)
        terms = np.abs(x) + np.abs(mean)[:, None, None]
        return np.asarray(terms * scale[:, None, None] + np.abs(held["bias"])[:, None, None])
    if isinstance(op, Sigmoid | SiLU):  # a relative error of x is one of exp(x) that is x times it
        return np.asarray(np.abs(exact) * (1 + np.abs(inputs[0])))
    if isinstance(op, AddScalar):
        return np.asarray(np.abs(inputs[0]) + abs(op.value))
    if isinstance(op, MulScalar | Clamp):
        return np.asarray(np.abs(exact))
    if isinstance(op, LayerNorm | GroupNorm | Softmax | ScaledDotProductAttention):
        return token_magnitude(op, inputs, held, exact)
    absolute = {role: np.abs(array) for role, array in held.items()}
    return np.asarray(apply(op, [np.abs(x) for x in inputs], absolute, False))


def _statistics_units(op: BatchNorm2d, x: np.ndarray, held: Arrays) -> Arrays:
    mean = np.abs(x).mean((0, 2, 3))
    square = np.square(np.abs(x) + mean[:, None, None]).mean((0, 2, 3))
    kept = 1 - op.momentum
    return {
        "running_mean": np.abs(kept * held["running_mean"]) + op.momentum * mean,
        "running_var": kept * held["running_var"] + op.momentum * square,
    }


def _dropped(op: Dropout, x: np.ndarray, found: np.ndarray) -> float:
    """Return the error of what dropout kept; infinity if it drew no mask for each value or channel.

    It must not drop none, all, or far too many, nor the same of all images, channels or pixels.
    """
    first = {"value": x.ndim, "channel": 2, "image": 1}[op.of]
    together = tuple(range(first, x.ndim))
    kept, alive = ((v != 0).any(together, keepdims=True) for v in (found, x))
    exact = np.where(kept, x / (1 - op.p), 0)
    error = in_units(found, exact, np.abs(x) / (1 - op.p))
    if op.of == "image":  # too few to tell how likely each was
        return error
    count = int(alive.sum())
    share = float((alive & ~kept).sum()) / max(count, 1)
    # Six deviations of the binomial distribution.
    if not abs(share - op.p) <= 6 * np.sqrt(op.p * (1 - op.p) / max(count, 1)):
        return float("inf")
    for axis in range(x.ndim):
        # Whether all that stands beside one another along an axis was kept or dropped together.
        first = np.take(kept, [0], axis)
        both = np.delete(alive & np.take(alive, [0], axis), 0, axis)
        alike = np.delete(kept == first, 0, axis)[both]
        if alike.size >= FEW and alike.all():
            return float("inf")
    return error
