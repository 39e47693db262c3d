"""What a user's own module shows of a network that was adopted from it, in any framework."""

from __future__ import annotations

import re
from collections.abc import Iterable

from zoo.arch import Graph
from zoo.arch.operators import Dropout

RANDOM = ("Dropout", "DropPath", "StochasticDepth")
"""What the names of modules contain that draw: they are switched off."""


def visible(graph: Graph, paths: Iterable[str]) -> set[str]:
    """Return the nodes whose values one of the modules at these paths hands out, and the outputs.

    A module that is called again has a number behind it; what does something after its layer
    does not hand out the layer's value, and what draws is switched off.
    """
    known = {path for path in paths if path}
    further = {
        read
        for node in graph.nodes
        for read in node.inputs
        if re.fullmatch(rf"{re.escape(read)}_(?!\d+$)\w+", node.name)
    }
    seen = {node.name for node in graph.nodes if re.sub(r"_\d+$", "", node.name) in known}
    drawn = {n.name for n in graph.nodes if isinstance(n.op, Dropout) and n.op.p > 0}
    return (seen - further - drawn) | set(graph.outputs)
