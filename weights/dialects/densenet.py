"""The DenseNets of torchvision, timm and MindCV.

torchvision's published files are older than its code: ``norm.1`` there is ``norm1`` here.
"""

from dataclasses import replace

from weights.dialects.dialect import Dialect


def _rules(unit: str, transition: str, dot: str = "") -> tuple[tuple[str, str], ...]:
    ours = "stage{stage}.{unit}"
    return (
        ("stem.conv", "features.conv0"),
        ("stem.bn", "features.norm0"),
        (f"{ours}.compress.bn", f"{unit}.norm{dot}1"),
        (f"{ours}.compress.conv", f"{unit}.conv{dot}1"),
        (f"{ours}.grow.bn", f"{unit}.norm{dot}2"),
        (f"{ours}.grow.conv", f"{unit}.conv{dot}2"),
        ("stage{stage}.transition.bn", f"{transition}.norm"),
        ("stage{stage}.transition.conv", f"{transition}.conv"),
        ("last.bn", "features.norm5"),
        ("classifier", "classifier"),
    )


_LAYER = "features.denseblock{stage}.denselayer{unit+1}"
_TRANSITION = "features.transition{stage-1}"

TORCHVISION = Dialect(
    name="torchvision",
    family="densenet",
    source="github.com/pytorch/vision, models/densenet.py",
    framework="torch",
    conventions="torchvision",
    rules=_rules(_LAYER, _TRANSITION),
)

PUBLISHED = replace(
    TORCHVISION,
    name="torchvision_published",
    source="download.pytorch.org, files of torchvision before 0.3",
    rules=_rules(_LAYER, _TRANSITION, dot="."),
)

TIMM = replace(
    TORCHVISION,
    name="timm",
    source="github.com/huggingface/pytorch-image-models, models/densenet.py",
)

MINDCV = Dialect(
    name="mindcv",
    family="densenet",
    source="github.com/mindspore-lab/mindcv, models/densenet.py",
    framework="mindspore",
    conventions="torchvision",
    rules=_rules("features.denseblock{stage}.cell_list.{unit}", f"{_TRANSITION}.features"),
)
