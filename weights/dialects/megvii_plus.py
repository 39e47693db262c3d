"""megvii's ShuffleNet V2+, whose units number their layers: in each kind of unit, other ones."""

from weights.dialects.dialect import Dialect

_UNIT, _MAIN = "stage{stage}.{unit}", "features.{flat}.branch_main"
_XCEPTION = "features.{flat:xception}.branch_main"
_SHORTCUT = "features.{flat}.branch_proj"

V2_PLUS = Dialect(
    name="megvii",
    family="shufflenet_v2_plus",
    source="github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2+",
    framework="torch",
    conventions="megvii",
    rules=(
        ("stem.conv", "first_conv.0"),
        ("stem.bn", "first_conv.1"),
        (f"{_UNIT}.compress.conv", f"{_MAIN}.0"),
        (f"{_UNIT}.compress.bn", f"{_MAIN}.1"),
        (f"{_UNIT}.depthwise.conv", f"{_MAIN}.3"),
        (f"{_UNIT}.depthwise.bn", f"{_MAIN}.4"),
        (f"{_UNIT}.expand.conv", f"{_MAIN}.5"),
        (f"{_UNIT}.expand.bn", f"{_MAIN}.6"),
        (f"{_UNIT}.se.squeeze", f"{_MAIN}.8.SE_opr.1"),
        (f"{_UNIT}.se.bn", f"{_MAIN}.8.SE_opr.2"),
        (f"{_UNIT}.se.excite", f"{_MAIN}.8.SE_opr.4"),
        (f"{_UNIT}.xception.0.depthwise.conv", f"{_XCEPTION}.0"),
        (f"{_UNIT}.xception.0.depthwise.bn", f"{_XCEPTION}.1"),
        (f"{_UNIT}.xception.0.expand.conv", f"{_XCEPTION}.2"),
        (f"{_UNIT}.xception.0.expand.bn", f"{_XCEPTION}.3"),
        (f"{_UNIT}.xception.1.depthwise.conv", f"{_XCEPTION}.5"),
        (f"{_UNIT}.xception.1.depthwise.bn", f"{_XCEPTION}.6"),
        (f"{_UNIT}.xception.1.expand.conv", f"{_XCEPTION}.7"),
        (f"{_UNIT}.xception.1.expand.bn", f"{_XCEPTION}.8"),
        (f"{_UNIT}.xception.2.depthwise.conv", f"{_XCEPTION}.10"),
        (f"{_UNIT}.xception.2.depthwise.bn", f"{_XCEPTION}.11"),
        (f"{_UNIT}.xception.2.expand.conv", f"{_XCEPTION}.12"),
        (f"{_UNIT}.xception.2.expand.bn", f"{_XCEPTION}.13"),
        (f"{_UNIT}.xception.se.squeeze", f"{_XCEPTION}.15.SE_opr.1"),
        (f"{_UNIT}.xception.se.bn", f"{_XCEPTION}.15.SE_opr.2"),
        (f"{_UNIT}.xception.se.excite", f"{_XCEPTION}.15.SE_opr.4"),
        (f"{_UNIT}.shortcut.depthwise.conv", f"{_SHORTCUT}.0"),
        (f"{_UNIT}.shortcut.depthwise.bn", f"{_SHORTCUT}.1"),
        (f"{_UNIT}.shortcut.expand.conv", f"{_SHORTCUT}.2"),
        (f"{_UNIT}.shortcut.expand.bn", f"{_SHORTCUT}.3"),
        ("last.conv", "conv_last.0"),
        ("last.bn", "conv_last.1"),
        ("last.se.squeeze", "LastSE.SE_opr.1"),
        ("last.se.bn", "LastSE.SE_opr.2"),
        ("last.se.excite", "LastSE.SE_opr.4"),
        ("hidden", "fc.0"),
        ("classifier", "classifier.0"),
    ),
)
