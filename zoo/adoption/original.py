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

    A module that is called again has a number behind it. Of one that does something after its layer
    (what it does is called like it, with more behind) the layer's value is not handed out. What
    draws is switched off.
    """
    known = {path for path in paths if path}
    seen = {node.name for node in graph.nodes if re.sub(r"_\d+$", "", node.name) in known}
    for node in graph.nodes:
        if isinstance(node.op, Dropout) and node.op.p > 0:
            seen.discard(node.name)
        if node.name not in known:
            for read in node.inputs:
                if re.fullmatch(rf"{re.escape(read)}_\w+", node.name):
                    seen -= {read, node.name}
    return seen | set(graph.outputs)
