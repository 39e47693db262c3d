"""What a model of any backend tells of its network, under the names that timm's users know."""

from __future__ import annotations

from typing import Any

from zoo.arch.features import feature_info
from zoo.arch.graph import Graph
from zoo.arch.head import head_of


def described(graph: Graph) -> dict[str, Any]:
    """Return the attributes of a model; none for a part of a network or its form for inference.

    ``num_classes``: logits for an image; 0 without a classifier. ``num_features``: channels of what
    ``forward_features`` returns. ``head_hidden_size``: values that the classifier reads.
    ``feature_info``: see `feature_info`.
    """
    head, shapes = head_of(graph), graph.shapes()
    if head is None:
        return {}
    return {
        "num_classes": shapes[head.classifier][1] if head.classifier else 0,
        "num_features": shapes[head.features][1],
        "head_hidden_size": shapes[head.pre_logits][1],
        "feature_info": feature_info(graph),
    }
