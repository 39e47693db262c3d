"""MnasNet's names. The first unit, which does not expand, is no unit in the code of two zoos."""

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import KINDS, TIMM_END, UNIT, flat, timm


def _first(place: str) -> tuple[tuple[str, str], ...]:
    layers = ("depthwise.conv", "depthwise.bn", "project.conv", "project.bn")
    numbers = zip(layers, (3, 4, 6, 7), strict=True)
    return tuple((f"{UNIT}.{layer}", f"{place}.{{{n}:first}}") for layer, n in numbers)


TORCHVISION = Dialect(
    name="torchvision",
    family="mnasnet",
    source="github.com/pytorch/vision, models/mnasnet.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "layers.0"),
        ("stem.bn", "layers.1"),
        *_first("layers"),
        *flat("layers.{stage+6:@}.{unit}.layers", KINDS[2:3]),
        ("last.conv", "layers.14"),
        ("last.bn", "layers.15"),
        ("classifier", "classifier.1"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="mnasnet",
    source="github.com/huggingface/pytorch-image-models, models/efficientnet.py",
    framework="torch",
    conventions="timm",
    rules=(*timm(), *TIMM_END),
)

MINDCV = Dialect(
    name="mindcv",
    family="mnasnet",
    source="github.com/mindspore-lab/mindcv, models/mnasnet.py",
    framework="mindspore",
    conventions="mindcv",
    rules=(
        ("stem.conv", "features.0"),
        ("stem.bn", "features.1"),
        *_first("features"),
        *flat("features.{flat+7:@}.layers", KINDS[2:3]),
        ("last.conv", "features.{units+7}"),
        ("last.bn", "features.{units+8}"),
        ("classifier", "classifier"),
    ),
)
