"""kuangliu's pytorch-cifar, and OpenGenus' tutorial, which has the same code."""

from weights.dialects.dialect import Dialect

_UNIT, _THEIRS = "stage{stage}.{unit}", "layer{stage-1}.{unit}"

V1 = Dialect(
    name="kuangliu",
    family="shufflenet_v1",
    source="github.com/kuangliu/pytorch-cifar, models/shufflenet.py",
    framework="torch",
    conventions="kuangliu",
    rules=(
        ("stem.conv", "conv1"),
        ("stem.bn", "bn1"),
        (f"{_UNIT}.compress.conv", f"{_THEIRS}.conv1"),
        (f"{_UNIT}.compress.bn", f"{_THEIRS}.bn1"),
        (f"{_UNIT}.depthwise.conv", f"{_THEIRS}.conv2"),
        (f"{_UNIT}.depthwise.bn", f"{_THEIRS}.bn2"),
        (f"{_UNIT}.expand.conv", f"{_THEIRS}.conv3"),
        (f"{_UNIT}.expand.bn", f"{_THEIRS}.bn3"),
        ("classifier", "linear"),
    ),
)
