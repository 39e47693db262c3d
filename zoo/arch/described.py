"""What a model of any backend tells of its network, under the names that timm's users know."""

from __future__ import annotations

from typing import Any

from zoo.arch.feature_info import FeatureInfo
from zoo.arch.features import feature_info
from zoo.arch.graph import INPUT, Graph
from zoo.arch.head import head_of
from zoo.arch.preprocessing import Preprocessing


class Described:
    """Attributes of models, see `described`; from the fourth on of whole networks alone."""

    preprocessing: Preprocessing | None
    pretrained_cfg: dict[str, Any]
    default_cfg: dict[str, Any]
    num_classes: int
    num_features: int
    head_hidden_size: int
    feature_info: FeatureInfo


def described(graph: Graph) -> dict[str, Any]:
    """Return the attributes of a model.

    ``preprocessing``: of the pictures that the weights want which the model was made with; None
    where that is not known, as of initial ones. ``pretrained_cfg``: the same in timm's terms.

    Of a whole network, which a part of one or its form for inference is not:
    ``num_classes``: logits for an image; 0 without a classifier. ``num_features``: channels of what
    ``forward_features`` returns. ``head_hidden_size``: values that the classifier reads.
    ``feature_info``: see `feature_info`.
    """
    head, shapes = head_of(graph), graph.shapes()
    how, (_, channels, height, width) = graph.preprocessing, graph.input_shape
    config: dict[str, Any] = {"input_size": (channels, height, width)}
    config["first_conv"] = next((n.name for n in graph.nodes if n.inputs == (INPUT,)), None)
    if how is not None:
        config |= {
            "mean": how.mean,
            "std": tuple(value / how.value_range for value in how.std),
            "interpolation": how.interpolation,
            "crop_pct": how.crop / how.resize,
            "crop_mode": "center",
            "channel_order": how.channel_order,
        }
    told = {"preprocessing": how, "pretrained_cfg": config, "default_cfg": config}
    if head is None:
        return told
    config |= {"classifier": head.classifier}
    return told | {
        "num_classes": shapes[head.classifier][1] if head.classifier else 0,
        "num_features": shapes[head.features][1],
        "head_hidden_size": shapes[head.pre_logits][1],
        "feature_info": feature_info(graph),
    }
