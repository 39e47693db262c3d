"""torchvision, github.com/pytorch/vision."""

from weights.dialects.dialect import Dialect

_UNIT = "stage{stage}.{unit}"

V2 = Dialect(
    name="torchvision",
    family="shufflenet_v2",
    source="github.com/pytorch/vision, models/shufflenetv2.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "conv1.0"),
        ("stem.bn", "conv1.1"),
        (f"{_UNIT}.compress.conv", f"{_UNIT}.branch2.0"),
        (f"{_UNIT}.compress.bn", f"{_UNIT}.branch2.1"),
        (f"{_UNIT}.depthwise.conv", f"{_UNIT}.branch2.3"),
        (f"{_UNIT}.depthwise.bn", f"{_UNIT}.branch2.4"),
        (f"{_UNIT}.expand.conv", f"{_UNIT}.branch2.5"),
        (f"{_UNIT}.expand.bn", f"{_UNIT}.branch2.6"),
        (f"{_UNIT}.shortcut.depthwise.conv", f"{_UNIT}.branch1.0"),
        (f"{_UNIT}.shortcut.depthwise.bn", f"{_UNIT}.branch1.1"),
        (f"{_UNIT}.shortcut.expand.conv", f"{_UNIT}.branch1.2"),
        (f"{_UNIT}.shortcut.expand.bn", f"{_UNIT}.branch1.3"),
        ("last.conv", "conv5.0"),
        ("last.bn", "conv5.1"),
        ("classifier", "fc"),
    ),
)
