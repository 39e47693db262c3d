"""MobileNetV4's names.

Those of timm's ``mobilenetv4_conv_aa_…`` are the same, and their shapes: files do not tell that a
mean over 2×2 halves the map there, which no network here has.
"""

from weights.dialects.dialect import Dialect
from weights.dialects.inverted import UNIT

_CONV, _FUSED, _UNIVERSAL = (
    f"blocks.{{stage-1:{kind}}}.{{unit}}" for kind in ("conv", "fused", "universal")
)

TIMM = Dialect(
    name="timm",
    family="mobilenet_v4",
    source="github.com/huggingface/pytorch-image-models, models/mobilenetv3.py",
    framework="torch",
    conventions="timm",
    rules=(
        ("stem.conv", "conv_stem"),
        ("stem.bn", "bn1"),
        (f"{UNIT}.conv", f"{_CONV}.conv"),
        (f"{UNIT}.bn", f"{_CONV}.bn1"),
        (f"{UNIT}.fused.conv", f"{_FUSED}.conv_exp"),
        (f"{UNIT}.fused.bn", f"{_FUSED}.bn1"),
        (f"{UNIT}.project.conv", f"{_FUSED}.conv_pwl"),
        (f"{UNIT}.project.bn", f"{_FUSED}.bn2"),
        *(
            (f"{UNIT}.{ours}.{layer}", f"{_UNIVERSAL}.{theirs}.{layer}")
            for ours, theirs in (
                ("start", "dw_start"),
                ("expand", "pw_exp"),
                ("depthwise", "dw_mid"),
                ("project", "pw_proj"),
            )
            for layer in ("conv", "bn")
        ),
        ("hidden.conv", "conv_head"),
        ("hidden.bn", "norm_head"),
        ("classifier", "classifier"),
    ),
)
