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

V2 = Dialect(
    name="mmpretrain",
    family="shufflenet_v2",
    source="github.com/open-mmlab/mmpretrain, models/backbones/shufflenet_v2.py",
    framework="torch",
    conventions="torchvision",  # the same network
    rules=(
        ("stem.conv", "backbone.conv1.conv"),
        ("stem.bn", "backbone.conv1.bn"),
        (f"{_UNIT}.compress.conv", f"{_THEIRS}.branch2.0.conv"),
        (f"{_UNIT}.compress.bn", f"{_THEIRS}.branch2.0.bn"),
        (f"{_UNIT}.depthwise.conv", f"{_THEIRS}.branch2.1.conv"),
        (f"{_UNIT}.depthwise.bn", f"{_THEIRS}.branch2.1.bn"),
        (f"{_UNIT}.expand.conv", f"{_THEIRS}.branch2.2.conv"),
        (f"{_UNIT}.expand.bn", f"{_THEIRS}.branch2.2.bn"),
        (f"{_UNIT}.shortcut.depthwise.conv", f"{_THEIRS}.branch1.0.conv"),
        (f"{_UNIT}.shortcut.depthwise.bn", f"{_THEIRS}.branch1.0.bn"),
        (f"{_UNIT}.shortcut.expand.conv", f"{_THEIRS}.branch1.1.conv"),
        (f"{_UNIT}.shortcut.expand.bn", f"{_THEIRS}.branch1.1.bn"),
        # The last convolution follows the three stages in the same list.
        ("last.conv", "backbone.layers.3.conv"),
        ("last.bn", "backbone.layers.3.bn"),
        ("classifier", "head.fc"),
    ),
)
