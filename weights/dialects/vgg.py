"""The VGGs of torchvision, timm and MindCV: one sequence of modules, pools and activations counted.

With batch norm, a convolution takes three numbers for two.
"""

from dataclasses import replace

from weights.dialects.dialect import Dialect


def _rules(hidden1: str, hidden2: str, classifier: str) -> tuple[tuple[str, str], ...]:
    return (
        ("stage{stage}.{unit}.conv", "features.{2*flat+stage-1:plain}"),
        ("stage{stage}.{unit}.conv", "features.{3*flat+stage-1:normalized}"),
        ("stage{stage}.{unit}.bn", "features.{3*flat+stage:normalized}"),
        ("hidden1", hidden1),
        ("hidden2", hidden2),
        ("classifier", classifier),
    )


TORCHVISION = Dialect(
    name="torchvision",
    family="vgg",
    source="github.com/pytorch/vision, models/vgg.py",
    framework="torch",
    conventions="torchvision",
    rules=_rules("classifier.0", "classifier.3", "classifier.6"),
)

MINDCV = replace(
    TORCHVISION,
    name="mindcv",
    source="github.com/mindspore-lab/mindcv, models/vgg.py",
    framework="mindspore",
    conventions="mindcv",
)

TIMM = replace(
    TORCHVISION,
    name="timm",
    source="github.com/huggingface/pytorch-image-models, models/vgg.py",
    conventions="timm",
    rules=_rules("pre_logits.fc1", "pre_logits.fc2", "head.fc"),
)
