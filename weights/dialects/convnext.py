"""The ConvNeXts of torchvision, timm and MindCV; the last two hold scales as plain rows."""

from collections.abc import Mapping

from weights.dialects.dialect import Dialect

_UNIT = "stage{stage}.{unit}"
_LAYERS = ("depthwise", "norm", "expand", "project")


def _rules(
    stem: str, downsample: str, unit: str, layers: tuple[str, ...], ends: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    return (
        ("stem.conv", f"{stem}.0"),
        ("stem.norm", f"{stem}.1"),
        ("stage{stage}.downsample.norm", f"{downsample}.0"),
        ("stage{stage}.downsample.conv", f"{downsample}.1"),
        *((f"{_UNIT}.{o}", f"{unit}.{t}") for o, t in zip(_LAYERS, layers, strict=True)),
        (f"{_UNIT}.scale", unit),
        *ends.items(),
    )


TORCHVISION = Dialect(
    name="torchvision",
    family="convnext",
    source="github.com/pytorch/vision, models/convnext.py",
    framework="torch",
    conventions="torchvision",
    value="layer_scale",
    rules=_rules(
        "features.0",
        "features.{2*stage-2}",
        "features.{2*stage-1}.{unit}",
        ("block.0", "block.2", "block.3", "block.5"),
        {"norm": "classifier.0", "classifier": "classifier.2"},
    ),
)

TIMM = Dialect(
    name="timm",
    family="convnext",
    source="github.com/huggingface/pytorch-image-models, models/convnext.py",
    framework="torch",
    conventions="torchvision",
    value="gamma",
    value_is_row=True,
    rules=_rules(
        "stem",
        "stages.{stage-1}.downsample",
        "stages.{stage-1}.blocks.{unit}",
        ("conv_dw", "norm", "mlp.fc1", "mlp.fc2"),
        {"norm": "head.norm", "classifier": "head.fc"},
    ),
)

MINDCV = Dialect(
    name="mindcv",
    family="convnext",
    source="github.com/mindspore-lab/mindcv, models/convnext.py",
    framework="mindspore",
    conventions="mindcv",
    value="gamma_",
    value_is_row=True,
    rules=_rules(
        "feature.0",
        "feature.{2*stage-2}",
        "feature.{2*stage-1}.{unit}",
        ("dwconv", "norm", "pwconv1", "pwconv2"),
        {"norm": "norm", "classifier": "classifier"},
    ),
)
