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
