"""Where the features of a network end and its head begins: found in the graph, for every family.

Everything that is said of a head (`zoo.create(..., num_classes=0)`, ``forward_features``,
``reset_classifier``) comes from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from zoo.arch.graph import INPUT, Graph, Node, shape_read
from zoo.arch.operator import Shape
from zoo.arch.operators import Conv2d, Dropout, Flatten, GlobalAvgPool2d, Linear, Pool


@dataclass(frozen=True)
class Head:
    """The nodes between which a network's head lies.

    Attributes:
        features: the map that the head pools, or classifies pixel by pixel: the last through which
            everything flows and with which a child of the network ends, so that all children stay
            whole.
        pre_logits: what the classifier reads: one value a channel, or a map where its logits are
            pooled, as SqueezeNet's are; the output of a network without one.
        classifier: the layer that makes the logits; None in a network without one.
    """

    features: str
    pre_logits: str
    classifier: str | None


def head_of(graph: Graph) -> Head | None:
    """Return where the head of a whole network is; None for other graphs.

    Whole is what came from a spec and returns one value, and not in a tuple: a part of a network,
    or its form for inference, has no head that could be asked for.
    """
    classes = getattr(graph.origin, "num_classes", None)
    through = list(joints(graph))
    if classes is None or graph.as_tuple or not through or graph.outputs != (through[-1].name,):
        return None
    shapes = graph.shapes()
    classifier, before = None, through
    if classes:
        made = [n for n in through if isinstance(n.op, Linear | Conv2d)]
        if not made or shapes[made[-1].name][1] != classes:
            return None
        classifier, before = made[-1].name, through[: through.index(made[-1])]
    pool = _pool(before, shapes)
    if pool is None and (classifier is None or len(shapes[classifier]) == 2):
        return None
    mapped = before if pool is None else before[: before.index(pool)]
    features = [node.name for node in mapped if _ends_a_child(node, graph)]
    return Head(features[-1], before[-1].name, classifier) if features else None


def classifier_of(graph: Graph) -> str | None:
    """Return the layer that alone makes what a graph returns, whatever is done to each class after.

    None where there is none.
    """
    if len(graph.outputs) != 1:
        return None
    through = list(joints(graph))
    for node in reversed(through):
        if isinstance(node.op, Linear | Conv2d):
            return node.name if node.op.mixes_channels else None
        if node.op.mixes_channels or node.op.traits.channels == "moved":
            return None
    return None


def stages_of(graph: Graph) -> list[str]:
    """Return the scopes that a whole network's features run through, in order."""
    head = head_of(graph)
    names = [node.name for node in graph.nodes]
    before = names[: names.index(head.features) + 1] if head is not None else []
    return list(dict.fromkeys(name.partition(".")[0] for name in before if "." in name))


def without_classifier(graph: Graph) -> Graph:
    """Return a whole network's graph in which what follows the classifier reads what it reads."""
    head = head_of(graph)
    assert head is not None, "every family's network has a head"

    def passed(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(head.pre_logits if name == head.classifier else name for name in names)

    nodes = tuple(
        dataclasses.replace(node, inputs=passed(node.inputs))
        for node in graph.nodes
        if node.name != head.classifier
    )
    return dataclasses.replace(graph, nodes=nodes, outputs=passed(graph.outputs))


def with_classes(graph: Graph, num_classes: int) -> Graph:
    """Return a whole network's graph for another number of classes; 0 for no classifier.

    All nodes but those after what a classifier reads stay as they are, also where they were
    rewritten (``group_conv="split"``).

    Raises:
        SpecError: there cannot be so many.
    """
    origin: Any = graph.origin
    spec = origin.replace(num_classes=num_classes)
    here, there = head_of(graph), head_of(spec.graph)
    assert here is not None, "what has no head is not asked for another"
    assert there is not None, "every family's network has a head"
    read = (there if there.classifier else here).pre_logits
    own = graph.select([read])
    start = [node.name for node in spec.graph.nodes].index(read) + 1
    return dataclasses.replace(
        graph,
        nodes=(*own.nodes, *spec.graph.nodes[start:]),
        outputs=spec.graph.outputs,
        origin=spec,
    )


def reset(graph: Graph, num_classes: int) -> tuple[Graph, Head, Head]:
    """Return a whole network's graph for another number of classes, its head now, and then.

    Raises:
        SpecError: there cannot be so many.
    """
    new = with_classes(graph, num_classes)
    here, there = head_of(graph), head_of(new)
    assert here is not None, "what has no head is not asked for another"
    assert there is not None, "every family's network has a head"
    return new, here, there


def joints(graph: Graph) -> Iterator[Node]:
    """Yield the nodes through whose value everything flows: nothing passes them by."""
    last = graph.last_reader()
    reach = last.get(INPUT, 0)
    for i, node in enumerate(graph.nodes):
        if reach <= i:
            yield node
        reach = max(reach, last[node.name])


def _pool(nodes: list[Node], shapes: dict[str, Shape]) -> Node | None:
    """Return the last node that makes one value a channel of a map."""
    flatten = None
    for node in reversed(nodes):
        read = shape_read(node, shapes)
        whole = isinstance(node.op, Pool) and node.op.kernel_size == read[2:]
        if whole or isinstance(node.op, GlobalAvgPool2d):
            return node
        if isinstance(node.op, Flatten):
            flatten = node
        elif len(read) == 4 and read[2:] != (1, 1):
            break
    return flatten


def _ends_a_child(node: Node, graph: Graph) -> bool:
    after = graph.nodes.index(node) + 1
    top = node.name.partition(".")[0]
    if isinstance(node.op, Dropout):  # of the head
        return False
    return after < len(graph.nodes) and graph.nodes[after].name.partition(".")[0] != top
