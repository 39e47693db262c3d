"""mmpretrain, formerly mmclassification."""

from weights.dialects.dialect import Dialect

_UNIT, _THEIRS = "stage{stage}.{unit}", "backbone.layers.{stage-2}.{unit}"

V1 = Dialect(
    name="mmpretrain",
    family="shufflenet_v1",
    source="github.com/open-mmlab/mmpretrain, models/backbones/shufflenet_v1.py",
    framework="torch",
    conventions="mmpretrain",
    rules=(
        ("stem.conv", "backbone.conv1.conv"),
        ("stem.bn", "backbone.conv1.bn"),
        (f"{_UNIT}.compress.conv", f"{_THEIRS}.g_conv_1x1_compress.conv"),
        (f"{_UNIT}.compress.bn", f"{_THEIRS}.g_conv_1x1_compress.bn"),
        (f"{_UNIT}.depthwise.conv", f"{_THEIRS}.depthwise_conv3x3_bn.conv"),
        (f"{_UNIT}.depthwise.bn", f"{_THEIRS}.depthwise_conv3x3_bn.bn"),
        (f"{_UNIT}.expand.conv", f"{_THEIRS}.g_conv_1x1_expand.conv"),
        (f"{_UNIT}.expand.bn", f"{_THEIRS}.g_conv_1x1_expand.bn"),
        ("classifier", "head.fc"),
    ),
)
