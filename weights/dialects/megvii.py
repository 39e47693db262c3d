"""megvii's own releases, github.com/megvii-model/ShuffleNet-Series."""

from weights.dialects.dialect import Dialect

V1 = Dialect(
    name="megvii",
    family="shufflenet_v1",
    source="github.com/megvii-model/ShuffleNet-Series",
    framework="torch",
    conventions="megvii",
    rules=(
        ("stem.conv", "first_conv.0"),
        ("stem.bn", "first_conv.1"),
        ("stage{stage}.{unit}.compress.conv", "features.{flat}.branch_main_1.0"),
        ("stage{stage}.{unit}.compress.bn", "features.{flat}.branch_main_1.1"),
        ("stage{stage}.{unit}.depthwise.conv", "features.{flat}.branch_main_1.3"),
        ("stage{stage}.{unit}.depthwise.bn", "features.{flat}.branch_main_1.4"),
        ("stage{stage}.{unit}.expand.conv", "features.{flat}.branch_main_2.0"),
        ("stage{stage}.{unit}.expand.bn", "features.{flat}.branch_main_2.1"),
        ("classifier", "classifier.0"),
    ),
)

V2 = Dialect(
    name="megvii",
    family="shufflenet_v2",
    source="github.com/megvii-model/ShuffleNet-Series",
    framework="torch",
    conventions="megvii",
    rules=(
        ("stem.conv", "first_conv.0"),
        ("stem.bn", "first_conv.1"),
        ("stage{stage}.{unit}.compress.conv", "features.{flat}.branch_main.0"),
        ("stage{stage}.{unit}.compress.bn", "features.{flat}.branch_main.1"),
        ("stage{stage}.{unit}.depthwise.conv", "features.{flat}.branch_main.3"),
        ("stage{stage}.{unit}.depthwise.bn", "features.{flat}.branch_main.4"),
        ("stage{stage}.{unit}.expand.conv", "features.{flat}.branch_main.5"),
        ("stage{stage}.{unit}.expand.bn", "features.{flat}.branch_main.6"),
        ("stage{stage}.{unit}.shortcut.depthwise.conv", "features.{flat}.branch_proj.0"),
        ("stage{stage}.{unit}.shortcut.depthwise.bn", "features.{flat}.branch_proj.1"),
        ("stage{stage}.{unit}.shortcut.expand.conv", "features.{flat}.branch_proj.2"),
        ("stage{stage}.{unit}.shortcut.expand.bn", "features.{flat}.branch_proj.3"),
        ("last.conv", "conv_last.0"),
        ("last.bn", "conv_last.1"),
        ("classifier", "classifier.0"),
    ),
)
