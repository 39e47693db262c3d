"""A calm start, found in the graph for every family: branches, features and logits begin small.

At scales of 1 each unit adds as much as there was, so that values grow from unit to unit; and the
features that a classifier reads are all positive, so that their mean has a squared length of
hundreds or thousands. By it a step moves all logits at once: with lr / (1 - momentum) times that
length times p (1 - p) above 2, softmax regression diverges.
"""

from __future__ import annotations

import dataclasses
import math

from zoo.arch.graph import INPUT, Graph, Node
from zoo.arch.head import head_of
from zoo.arch.operators import Add, BatchNorm2d, Conv2d, LayerNorm, Linear, Mul

FEATURES = 8.0
"""What norms start from that make features, over the root of how many features there are. Of
rectified ones the mean then has a squared length of about ten, however wide the network is."""
LOGITS = 0.01
"""What is left of the classifier's drawn weights. In evaluation mode, at statistics that have seen
nothing yet, features may be a thousand times as large as in training."""


def damped(graph: Graph) -> Graph:
    """Return a whole network's graph in which norms and the classifier start small.

    Of branches that are added, the second operand of an `Add`, the last norms begin at one
    over the root of how many there are: their sum is then as large as what they are added to,
    however deep the network is (arXiv:2010.12859; arXiv:1706.02677 begins at 0). Those that the
    features are made of, with no convolution between, begin smaller by one factor for all of them.
    """
    head = head_of(graph)
    if head is None:  # as of some that came from elsewhere
        return graph
    branches = [node.inputs[1] for node in graph.nodes if isinstance(node.op, Add)]
    scales = {
        norm: 1 / math.sqrt(len(branches)) for made in branches for norm in _norms(graph, made)
    }
    factor = min(1.0, FEATURES / math.sqrt(graph.shapes()[head.pre_logits][1]))
    for norm in _norms(graph, head.pre_logits):
        scales[norm] = scales.get(norm, 1.0) * factor
    nodes = tuple(_started(node, scales, head.classifier) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=nodes)


def _norms(graph: Graph, value: str) -> set[str]:
    """Return the norms that a value is made of, with no layer between; gates left aside."""
    seen, left, found = {INPUT}, [value], set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        node = graph.by_name[name]
        if isinstance(node.op, BatchNorm2d | LayerNorm):
            found.add(name)
        elif not isinstance(node.op, Conv2d | Linear):
            left.extend(node.inputs[:1] if isinstance(node.op, Mul) else node.inputs)
    return found


def _started(node: Node, scales: dict[str, float], classifier: str | None) -> Node:
    op = node.op
    if node.name in scales and isinstance(op, BatchNorm2d | LayerNorm):
        op = dataclasses.replace(op, initial_weight=scales[node.name])
    elif node.name == classifier and isinstance(op, Linear | Conv2d):
        op = dataclasses.replace(op, initial_scale=LOGITS)
    return dataclasses.replace(node, op=op)
