"""EfficientNet's names."""

from dataclasses import replace

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import KINDS, TIMM_END, flat, numbered, timm

TORCHVISION = Dialect(
    name="torchvision",
    family="efficientnet",
    source="github.com/pytorch/vision, models/efficientnet.py",
    framework="torch",
    conventions="torchvision",
    deep=(39, "torchvision_b5"),
    rules=(
        ("stem.conv", "features.0.0"),
        ("stem.bn", "features.0.1"),
        *numbered("features.{stage:@}.{unit}.block", (KINDS[1], KINDS[3])),
        ("last.conv", "features.{stages+1}.0"),
        ("last.bn", "features.{stages+1}.1"),
        ("classifier", "classifier.1"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="efficientnet",
    source="github.com/huggingface/pytorch-image-models, models/efficientnet.py",
    framework="torch",
    conventions="timm",
    rules=(*timm(gated=True), *TIMM_END),
)

# Those called tf_…: names do not tell them, so that they are asked for.
TIMM_TF = replace(TIMM, name="timm_tf", conventions="timm_tf")

MINDCV = Dialect(
    name="mindcv",
    family="efficientnet",
    source="github.com/mindspore-lab/mindcv, models/efficientnet.py",
    framework="mindspore",
    conventions="mindcv",
    deep=(39, "mindcv_b5"),
    rules=(
        ("stem.conv", "features.0"),
        ("stem.bn", "features.1"),
        *flat("features.{stage+2:@}.{unit}.block", (KINDS[1], KINDS[3])),
        ("last.conv", "features.{stages+3}"),
        ("last.bn", "features.{stages+4}"),
        ("classifier", "mlp_head"),
    ),
)
