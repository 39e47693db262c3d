"""What a live model is: its graph and spec, where its layers are still those of the spec."""

from __future__ import annotations

from typing import Any

import backends
from zoo.arch import Graph, Spec
from zoo.blocks.live import refuse
from zoo.errors import WeightsError


def graph_of(model: Any) -> Graph:
    """Return the graph of a live model, all of whose layers are what it says.

    Args:
        model: a model of `create`, also inside of another module or a wrapper.

    Raises:
        WeightsError: it was not made by `create`, holds several networks, or has layers that were
            replaced or changed; they are named.
    """
    engine = backends.backend_of(model)
    graph = engine.graph_of(model)
    refuse(getattr(engine, "changes", _none)(model))
    return graph


def spec_of(model: Any, remedy: str) -> Spec:
    """Return the spec of a live model.

    Args:
        model: as for `graph_of`.
        remedy: what an error says of a model that is not a whole network.

    Raises:
        WeightsError: as `graph_of`, and where the model is not a whole network.
    """
    found = graph_of(model).origin
    if not isinstance(found, Spec):
        raise WeightsError(
            "the model is a part of a network (outputs=) or a form for inference (optimize=)"
            f"{remedy}"
        )
    return found


def _none(model: Any) -> list[str]:
    """Return what is changed in a model that has no layers to put others in the place of."""
    return []
