"""Whether a value can be negative, from the operators that make it."""

from __future__ import annotations

from zoo.arch import INPUT, Graph
from zoo.arch.operators import (
    Add,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSigmoid,
    Mul,
    ReLU,
    Sigmoid,
    Slice,
)
from zoo.arch.windows import AvgPool2d, MaxPool2d

_NEVER = (ReLU, Sigmoid, HardSigmoid)
_KEEP = (
    Add, Mul, Concat, Slice, ChannelShuffle, ChannelPermute, Dropout, Flatten, GlobalAvgPool2d,
    MaxPool2d, AvgPool2d,
)  # fmt: skip


def never_negative(graph: Graph, name: str) -> bool:
    """Return whether no value of a node is below zero, whatever the input and the weights."""
    if name == INPUT:
        return False
    node = graph.by_name[name]
    if isinstance(node.op, _NEVER):
        return True
    return isinstance(node.op, _KEEP) and all(never_negative(graph, i) for i in node.inputs)
