"""Which parameters no gradient reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zoo.arch import Graph, Node
from zoo.arch.operators import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    MaxPool2d,
    MulScalar,
    Upsample,
)
from zoo.proof.streams import of_keys

ARRAY = 1e-9
"""How small the gradient of an array may be beside that of the whole network: what is below is
rounding."""
ROW = 1e-7
"""How small the gradient of a row or column of weights may be beside the largest of its array. Of
single values, which hardly differ between images, a row's gradient is one number times what it
reads, and may be small by chance; where nothing flows it is zero, or float64's rounding."""
SINGLE = 1e-10
"""The same of a single number, which may be small by chance: no smaller than float64 can tell from
zero."""


def unreached(
    graph: Graph, gradients: Mapping[str, np.ndarray], *, training: bool
) -> Iterator[tuple[str, str]]:
    """Yield (node, what has no gradient)."""
    whole = np.sqrt(sum(float(np.sum(np.square(g))) for g in gradients.values())) or 1.0
    for node in graph.nodes:
        for role, parameter in node.op.parameters().items():
            if not parameter.trainable or (training and role == "bias" and _taken(graph, node)):
                continue
            found = gradients[f"{node.name}.{role}"]
            if not np.sqrt(float(np.sum(np.square(found)))) > ARRAY * whole:
                yield node.name, f"{role}: no gradient reaches it"
                continue
            if training and role == "bias":
                # Of a channel that an activation passes whole, a batch norm behind takes the shift
                # away again; with frozen statistics each must have one.
                continue
            for what, sizes in _parts(node, np.abs(found)):
                limit = ROW if found.ndim > 1 else SINGLE
                none = np.flatnonzero(~(sizes > limit * sizes.max()))
                if len(none) and role == "bias":
                    none = np.setdiff1d(none, list(of_keys(graph, node)))
                if len(none):
                    named = ", ".join(map(str, none[:3])) + (", …" if len(none) > 3 else "")
                    yield (
                        node.name,
                        f"{role}: no gradient reaches {len(none)} of {len(sizes)} {what} ({named})",
                    )


def _parts(node: Node, sizes: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (what, largest gradient of each): output channels, and input channels of weights."""
    if sizes.ndim == 1:
        yield "channels", sizes
        return
    yield "output channels", sizes.reshape(len(sizes), -1).max(1)
    groups = node.op.groups if isinstance(node.op, Conv2d) else 1
    by_group = sizes.reshape(groups, len(sizes) // groups, sizes.shape[1], -1)
    yield "input channels", by_group.max((1, 3)).ravel()


def _taken(graph: Graph, node: Node) -> bool:
    """Return whether batch norms take away again what is added to whole channels.

    With the statistics of the batch, a constant before a batch norm changes nothing, and has no
    gradient: the bias of a convolution before it, or the shift of a batch norm that meets another
    without an activation between them. (With frozen statistics it has one.)
    """
    readers = [reader for reader in graph.nodes if node.name in reader.inputs]
    return (
        bool(readers)
        and node.name not in graph.outputs
        and all(
            isinstance(reader.op, BatchNorm2d) or (_keeps(reader) and _taken(graph, reader))
            for reader in readers
        )
    )


def _keeps(node: Node) -> bool:
    """Return whether constant channels are made of constant channels."""
    if isinstance(node.op, Conv2d):
        return node.op.padding == (0, 0, 0, 0) or node.op.kernel_size == (1, 1)
    if isinstance(node.op, Dropout):
        return node.op.p == 0
    if isinstance(node.op, AvgPool2d):  # zeros that count at the border are no constant's
        return node.op.padding == (0, 0, 0, 0) or not node.op.count_include_pad
    kept = Add | AdaptiveAvgPool2d | GlobalAvgPool2d | MaxPool2d | MulScalar | Upsample
    return isinstance(node.op, kept) or node.op.traits.channels == "moved"
