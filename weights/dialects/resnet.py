"""The ResNets of torchvision, timm and MindCV.

timm has torchvision's names and network. MindCV's cells are torchvision's modules, but for the
shortcut, the classifier and the roles of a batch norm.
"""

from dataclasses import replace

from weights.dialects.dialect import Dialect


def _rules(shortcut: str, classifier: str) -> tuple[tuple[str, str], ...]:
    ours, theirs = "stage{stage}.{unit}", "layer{stage-1}.{unit}"
    return (
        ("stem.conv", "conv1"),
        ("stem.bn", "bn1"),
        *((f"{ours}.conv{i}.conv", f"{theirs}.conv{i}") for i in (1, 2, 3)),
        *((f"{ours}.conv{i}.bn", f"{theirs}.bn{i}") for i in (1, 2, 3)),
        (f"{ours}.shortcut.conv", f"{theirs}.{shortcut}.0"),
        (f"{ours}.shortcut.bn", f"{theirs}.{shortcut}.1"),
        ("classifier", classifier),
    )


TORCHVISION = Dialect(
    name="torchvision",
    family="resnet",
    source="github.com/pytorch/vision, models/resnet.py",
    framework="torch",
    conventions="torchvision",
    rules=_rules("downsample", "fc"),
)

TIMM = replace(
    TORCHVISION,
    name="timm",
    source="github.com/huggingface/pytorch-image-models, models/resnet.py",
)

MINDCV = Dialect(
    name="mindcv",
    family="resnet",
    source="github.com/mindspore-lab/mindcv, models/resnet.py",
    framework="mindspore",
    conventions="mindcv",
    rules=_rules("down_sample", "classifier"),
)
