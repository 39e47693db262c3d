"""Weights for another number of classes or input channels than they were trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from weights.canonical import Weights
from zoo.arch import INPUT, Graph, Node
from zoo.arch.head import head_of
from zoo.arch.operators import Conv2d, Linear
from zoo.errors import WeightsError
from zoo.passes.initialize import initialize


def adapt(
    weights: Mapping[str, np.ndarray], source: Graph, target: Graph, *, seed: int = 0
) -> tuple[Weights, tuple[str, ...]]:
    """Return weights for a network with another head or another input, and what was changed.

    A classifier for another number of classes starts anew from the seed, and so does one where
    there was none. A convolution that reads the image keeps what it learned, as timm does it
    (``timm.models._manipulate.adapt_input_conv``): for one channel, the filters of the colors are
    summed, so that a gray image gives what the same image in three equal colors gave; for other
    numbers they are repeated in turn and scaled by 3 / channels, so that the sums keep their size.

    Args:
        weights: that fit ``source``.
        source: the network they were trained in.
        target: the same network for other classes or input channels.
        seed: of the new classifier.

    Raises:
        WeightsError: the networks differ in more than that, or the first convolution of ``source``
            has not three input channels.
    """
    notes: list[str] = []
    found: Weights = {}
    fresh: Weights = {}
    problems: list[str] = []
    for node in target.nodes:
        roles = node.op.parameters()
        before = source.by_name.get(node.name)
        if not roles or (before is not None and before.op == node.op):
            found |= {name: weights[name] for name in (f"{node.name}.{role}" for role in roles)}
        elif before is not None and _is_other_head(before, node, target):
            fresh = fresh or initialize(target, seed)
            found |= {name: fresh[name] for name in (f"{node.name}.{role}" for role in roles)}
            notes.append(
                f"{node.name}: {_classes(before)} classes became {_classes(node)}, newly "
                f"initialized from seed {seed}"
            )
        elif before is None and _is_first_head(source, node, target):
            fresh = fresh or initialize(target, seed)
            found |= {name: fresh[name] for name in (f"{node.name}.{role}" for role in roles)}
            notes.append(f"{node.name}: {_classes(node)} classes, initialized from seed {seed}")
        elif before is not None and _is_other_input(before, node):
            found |= {f"{node.name}.{role}": weights[f"{node.name}.{role}"] for role in roles}
            name, channels = f"{node.name}.weight", _channels(node)
            found[name] = _for_channels(name, weights[name], channels)
            how = "summed" if channels == 1 else f"repeated and scaled by 3/{channels}"
            notes.append(
                f"{node.name}: {_channels(before)} input channels became {channels}, filters {how}"
            )
        else:
            problems.append(node.name)
    if problems:
        raise WeightsError(
            "only the classifier and the convolution that reads the image can be adapted; the "
            f"networks also differ in {', '.join(problems[:5])}"
        )
    return found, tuple(notes)


def _is_other_head(before: Node, after: Node, graph: Graph) -> bool:
    head, one, other = head_of(graph), before.op, after.op
    if after.name not in graph.outputs and (head is None or head.classifier != after.name):
        return False
    if isinstance(one, Linear) and isinstance(other, Linear):
        return one == replace(other, out_features=one.out_features)
    if isinstance(one, Conv2d) and isinstance(other, Conv2d) and one.groups == other.groups == 1:
        return one == replace(other, out_channels=one.out_channels)
    return False


def _is_first_head(source: Graph, node: Node, target: Graph) -> bool:
    here, there = head_of(source), head_of(target)
    bare = here is not None and here.classifier is None
    return bare and there is not None and there.classifier == node.name


def _is_other_input(before: Node, after: Node) -> bool:
    return (
        isinstance(before.op, Conv2d)
        and isinstance(after.op, Conv2d)
        and after.inputs == (INPUT,)
        and before.op.out_channels == after.op.out_channels
        and before.op.kernel_size == after.op.kernel_size
        and before.op.groups == after.op.groups == 1
    )


def _for_channels(name: str, weight: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return np.asarray(weight.sum(axis=1, keepdims=True), np.float32)
    if weight.shape[1] != 3:
        raise WeightsError(
            f"{name}: in_channels (={weight.shape[1]}) must be 3 to become {channels}"
        )
    turns = -(-channels // 3)
    repeated = np.tile(weight, (1, turns, 1, 1))[:, :channels]
    return np.asarray(repeated * np.float32(3 / channels), np.float32)


def _classes(node: Node) -> int:
    return node.op.parameters()["weight"].shape[0]


def _channels(node: Node) -> int:
    assert isinstance(node.op, Conv2d)
    return node.op.in_channels
