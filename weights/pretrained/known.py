"""What is known of how pictures were prepared for weights whose file does not say so."""

from __future__ import annotations

from weights.pretrained.catalog import list_pretrained
from zoo.arch import Spec
from zoo.arch.preprocessing import MEGVII, Preprocessing
from zoo.families import base_model

IMAGENET_CLASSES = 1000
OURS = ("zoo", "zoo_mindspore")
"""Our own names, which tell nothing of who trained the weights."""


def known_preprocessing(spec: Spec, dialect: str) -> Preprocessing | None:
    """Return how a publisher prepares pictures for weights under its names; None if unknown.

    A file with the names of a publisher's code base and ImageNet's number of classes is taken to be
    prepared as the publisher does. Those tuned for other classes may be prepared in any way.
    """
    if spec.num_classes != IMAGENET_CLASSES or dialect in OURS:
        return None
    if dialect == "megvii":
        return MEGVII
    name = base_model(spec)
    published = [entry for entry in list_pretrained() if entry.dialect == dialect]
    found = {entry.preprocessing for entry in published if entry.model == name}
    return found.pop() if len(found) == 1 else None
