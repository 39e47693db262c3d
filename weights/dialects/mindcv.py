"""MindCV, and MindSpore's ShuffleNet tutorial, whose group convolutions are lists of convolutions.

MindCV 0.3 has native group convolutions; its older versions split them as the tutorial does.
"""

from weights.dialects import megvii
from weights.dialects.dialect import Dialect

V1 = Dialect(
    name="mindcv",
    family="shufflenet_v1",
    source="github.com/mindspore-lab/mindcv, models/shufflenetv1.py",
    framework="mindspore",
    conventions="mindcv",
    rules=(
        ("stem.conv", "first_conv.0"),
        ("stem.bn", "first_conv.1"),
        ("stage{stage}.{unit}.compress.conv", "features.{flat}.branch_main_1.0"),
        ("stage{stage}.{unit}.compress.bn", "features.{flat}.branch_main_1.1"),
        ("stage{stage}.{unit}.depthwise.conv", "features.{flat}.branch_main_2.0"),
        ("stage{stage}.{unit}.depthwise.bn", "features.{flat}.branch_main_2.1"),
        ("stage{stage}.{unit}.expand.conv", "features.{flat}.branch_main_2.2"),
        ("stage{stage}.{unit}.expand.bn", "features.{flat}.branch_main_2.3"),
        ("classifier", "classifier"),
    ),
)

TUTORIAL_V1 = Dialect(
    name="mindspore_tutorial",
    family="shufflenet_v1",
    source="MindSpore tutorials, cv/shufflenet",
    framework="mindspore",
    conventions="mindspore_tutorial",
    rules=tuple(
        (ours, f"{theirs}.*" if ours.endswith(("compress.conv", "expand.conv")) else theirs)
        for ours, theirs in V1.rules
    ),
)

# MindCV's V2 is megvii's, cell by module, but for a classifier without a sequence around it.
V2 = Dialect(
    name="mindcv",
    family="shufflenet_v2",
    source="github.com/mindspore-lab/mindcv, models/shufflenetv2.py",
    framework="mindspore",
    conventions="mindcv",
    rules=tuple(
        (ours, "classifier" if ours == "classifier" else theirs) for ours, theirs in megvii.V2.rules
    ),
)
