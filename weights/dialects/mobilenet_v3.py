"""MobileNetV3's names."""

from dataclasses import replace

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import KINDS, flat, numbered, timm

TORCHVISION = Dialect(
    name="torchvision",
    family="mobilenet_v3",
    source="github.com/pytorch/vision, models/mobilenetv3.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "features.0.0"),
        ("stem.bn", "features.0.1"),
        *numbered("features.{flat+1:@}.block", KINDS),
        ("last.conv", "features.{units+1}.0"),
        ("last.bn", "features.{units+1}.1"),
        ("hidden", "classifier.0"),
        ("classifier", "classifier.3"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="mobilenet_v3",
    source="github.com/huggingface/pytorch-image-models, models/mobilenetv3.py",
    framework="torch",
    conventions="timm",
    rules=(
        *timm(gated=True),
        # The last convolution is the seventh stage of six, or the sixth of five.
        ("last.conv", "blocks.{stages}.0.conv"),
        ("last.bn", "blocks.{stages}.0.bn1"),
        ("hidden", "conv_head"),
        ("classifier", "classifier"),
    ),
)

# Those called tf_…: names do not tell them, so that they are asked for.
TIMM_TF = replace(TIMM, name="timm_tf", conventions="timm_tf")

MINDCV = Dialect(
    name="mindcv",
    family="mobilenet_v3",
    source="github.com/mindspore-lab/mindcv, models/mobilenetv3.py",
    framework="mindspore",
    conventions="mindcv",
    rules=(
        ("stem.conv", "features.0"),
        ("stem.bn", "features.1"),
        *flat("features.{flat+3:@}.layers", KINDS),
        ("last.conv", "features.{units+3}"),
        ("last.bn", "features.{units+4}"),
        ("hidden", "classifier.0"),
        ("classifier", "classifier.3"),
    ),
)
