"""pytorchcv, github.com/osmr/pytorchcv."""

from weights.dialects.dialect import Dialect

_UNIT, _THEIRS = "stage{stage}.{unit}", "features.stage{stage-1}.unit{unit+1}"

V1 = Dialect(
    name="pytorchcv",
    family="shufflenet_v1",
    source="github.com/osmr/pytorchcv, models/shufflenet.py",
    framework="torch",
    conventions="pytorchcv",
    rules=(
        ("stem.conv", "features.init_block.conv"),
        ("stem.bn", "features.init_block.bn"),
        (f"{_UNIT}.compress.conv", f"{_THEIRS}.compress_conv1"),
        (f"{_UNIT}.compress.bn", f"{_THEIRS}.compress_bn1"),
        (f"{_UNIT}.depthwise.conv", f"{_THEIRS}.dw_conv2"),
        (f"{_UNIT}.depthwise.bn", f"{_THEIRS}.dw_bn2"),
        (f"{_UNIT}.expand.conv", f"{_THEIRS}.expand_conv3"),
        (f"{_UNIT}.expand.bn", f"{_THEIRS}.expand_bn3"),
        ("classifier", "output"),
    ),
)

# Their "v2b"; their "v2" pools without padding, which is another function.
V2 = Dialect(
    name="pytorchcv",
    family="shufflenet_v2",
    source="github.com/osmr/pytorchcv, models/shufflenetv2b.py",
    framework="torch",
    conventions="pytorchcv",
    rules=(
        ("stem.conv", "features.init_block.conv.conv"),
        ("stem.bn", "features.init_block.conv.bn"),
        (f"{_UNIT}.compress.conv", f"{_THEIRS}.conv1.conv"),
        (f"{_UNIT}.compress.bn", f"{_THEIRS}.conv1.bn"),
        (f"{_UNIT}.depthwise.conv", f"{_THEIRS}.dconv.conv"),
        (f"{_UNIT}.depthwise.bn", f"{_THEIRS}.dconv.bn"),
        (f"{_UNIT}.expand.conv", f"{_THEIRS}.conv2.conv"),
        (f"{_UNIT}.expand.bn", f"{_THEIRS}.conv2.bn"),
        (f"{_UNIT}.shortcut.depthwise.conv", f"{_THEIRS}.shortcut_dconv.conv"),
        (f"{_UNIT}.shortcut.depthwise.bn", f"{_THEIRS}.shortcut_dconv.bn"),
        (f"{_UNIT}.shortcut.expand.conv", f"{_THEIRS}.shortcut_conv.conv"),
        (f"{_UNIT}.shortcut.expand.bn", f"{_THEIRS}.shortcut_conv.bn"),
        ("last.conv", "features.final_block.conv"),
        ("last.bn", "features.final_block.bn"),
        ("classifier", "output"),
    ),
)
