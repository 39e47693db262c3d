"""MobileNetV2's names. Units that do not expand lack its layers, so that their numbers shift."""

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import KINDS, TIMM_END, UNIT, flat, timm

_PLAIN, _EXPANDS = (f"features.{{flat+1:{kind}}}.conv" for kind in ("plain", "expands"))

TORCHVISION = Dialect(
    name="torchvision",
    family="mobilenet_v2",
    source="github.com/pytorch/vision, models/mobilenetv2.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "features.0.0"),
        ("stem.bn", "features.0.1"),
        (f"{UNIT}.depthwise.conv", f"{_PLAIN}.0.0"),
        (f"{UNIT}.depthwise.bn", f"{_PLAIN}.0.1"),
        (f"{UNIT}.project.conv", f"{_PLAIN}.1"),
        (f"{UNIT}.project.bn", f"{_PLAIN}.2"),
        (f"{UNIT}.expand.conv", f"{_EXPANDS}.0.0"),
        (f"{UNIT}.expand.bn", f"{_EXPANDS}.0.1"),
        (f"{UNIT}.depthwise.conv", f"{_EXPANDS}.1.0"),
        (f"{UNIT}.depthwise.bn", f"{_EXPANDS}.1.1"),
        (f"{UNIT}.project.conv", f"{_EXPANDS}.2"),
        (f"{UNIT}.project.bn", f"{_EXPANDS}.3"),
        ("last.conv", "features.{units+1}.0"),
        ("last.bn", "features.{units+1}.1"),
        ("classifier", "classifier.1"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="mobilenet_v2",
    source="github.com/huggingface/pytorch-image-models, models/efficientnet.py",
    framework="torch",
    conventions="timm",
    rules=(*timm(), *TIMM_END),
)

MINDCV = Dialect(
    name="mindcv",
    family="mobilenet_v2",
    source="github.com/mindspore-lab/mindcv, models/mobilenetv2.py",
    framework="mindspore",
    conventions="mindcv",
    rules=(
        ("stem.conv", "features.0"),
        ("stem.bn", "features.1"),
        *flat("features.{flat+3:@}.layers", (KINDS[0], KINDS[2])),
        ("last.conv", "features.{units+3}"),
        ("last.bn", "features.{units+4}"),
        ("classifier", "classifier.1"),
    ),
)
