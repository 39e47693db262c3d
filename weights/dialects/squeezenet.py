"""The SqueezeNets of torchvision and MindCV, whose names are the same."""

from dataclasses import replace

from weights.dialects.dialect import Dialect

_LAYERS = ("squeeze", "expand1x1", "expand3x3")

TORCHVISION = Dialect(
    name="torchvision",
    family="squeezenet",
    source="github.com/pytorch/vision, models/squeezenet.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "features.0"),
        # Three modules come before the first fire, and a pool before each further stage, which is
        # the second.
        *(
            (f"stage{{stage}}.{{unit}}.{layer}.conv", f"features.{{flat+stage+1}}.{layer}")
            for layer in _LAYERS
        ),
        ("classifier", "classifier.1"),
    ),
)

MINDCV = replace(
    TORCHVISION,
    name="mindcv",
    source="github.com/mindspore-lab/mindcv, models/squeezenet.py",
    framework="mindspore",
    conventions="mindcv",
)
