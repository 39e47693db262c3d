"""MobileNet's names."""

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import KINDS, flat, timm

MINDCV = Dialect(
    name="mindcv",
    family="mobilenet_v1",
    source="github.com/mindspore-lab/mindcv, models/mobilenetv1.py",
    framework="mindspore",
    conventions="mindcv",
    rules=(
        ("stem.conv", "features.0"),
        ("stem.bn", "features.1"),
        *flat("features.{flat+3:@}", KINDS[:1]),
        ("classifier", "classifier"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="mobilenet_v1",
    source="github.com/huggingface/pytorch-image-models, models/efficientnet.py",
    framework="torch",
    conventions="timm",
    rules=(*timm(expands=False), ("classifier", "classifier")),
)
