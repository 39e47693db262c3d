"""Which node of one graph is which of another, told by what leads to it.

Widths, strides and conventions make no difference: nodes are told apart by what they are and by the
deepest of those that they read, with all movement of channels traced away. So what is nearly a
network of ours is paired with it too, and what differs has a name in both.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import Add
from zoo.passes.conventions.trace import Trace


def pairs(ours: Trace, theirs: Trace) -> dict[str, str] | None:
    """Return our name of each node that computes → theirs, or None if they are not as many alike.

    Of branches that begin alike, what reads them tells which is which; of those that nothing tells
    apart the first is the first. What is paired is compared anyway.
    """
    numbers: dict[Hashable, int] = {}
    found = _by_key(ours, numbers), _by_key(theirs, numbers)
    if any(len(names) != len(found[1].get(key, ())) for key, names in found[0].items()):
        return None
    if found[0].keys() != found[1].keys():
        return None
    return {
        one: other
        for key, names in found[0].items()
        for one, other in zip(names, found[1][key], strict=True)
    }


def _by_key(trace: Trace, numbers: dict[Hashable, int]) -> dict[int, list[str]]:
    keys = [numbers.setdefault(None, 0)]
    depths = [0]
    found: dict[int, list[str]] = {}
    for node, inputs in zip(trace.nodes, trace.inputs, strict=True):
        slots, depth = [], 0
        for x in inputs:
            read = np.unique(x.producer).tolist()
            deepest = max(depths[i] for i in read)
            slots.append(tuple(sorted({keys[i] for i in read if depths[i] == deepest})))
            depth = max(depth, deepest + 1)
        depths.append(depth)
        if isinstance(node.op, Add):
            slots.sort()
        key = numbers.setdefault((_kind(node.op), *slots), len(numbers))
        keys.append(key)
        found.setdefault(key, []).append(node.name)
    uses = _uses(trace) if any(len(names) > 1 for names in found.values()) else {}
    return {
        key: sorted(names, key=uses.__getitem__) if len(names) > 1 else names
        for key, names in found.items()
    }


def _uses(trace: Trace) -> dict[str, str]:
    """Return node → what reads it, and what reads that."""
    kinds = [str(_kind(node.op)) for node in trace.nodes]
    readers: list[set[int]] = [set() for _ in range(len(kinds) + 1)]
    for i, inputs in enumerate(trace.inputs):
        for x in inputs:
            for read in np.unique(x.producer).tolist():
                readers[read].add(i)
    once = [str(sorted({kinds[i] for i in readers[j + 1]})) for j in range(len(kinds))]
    twice = [str(sorted({kinds[i] + once[i] for i in readers[j + 1]})) for j in range(len(kinds))]
    return {node.name: use for node, use in zip(trace.nodes, twice, strict=True)}


def _kind(op: Operator) -> Hashable:
    return type(op).__name__, getattr(op, "kernel_size", None), op.mixes_channels
