"""MnasNet-A1's names."""

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import TIMM_END, timm

TIMM = Dialect(
    name="timm",
    family="mnasnet_a1",
    source="github.com/huggingface/pytorch-image-models, models/efficientnet.py",
    framework="torch",
    conventions="timm",
    rules=(*timm(gated=True), *TIMM_END),
)
