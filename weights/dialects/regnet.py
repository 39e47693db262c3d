"""The RegNets of torchvision, timm and MindCV."""

from weights.dialects.dialect import Dialect

_OURS = "stage{stage}.{unit}"
_TORCHVISION = "trunk_output.block{stage}.block{stage}-{unit}"
_TIMM = "s{stage}.b{unit+1}"

TORCHVISION = Dialect(
    name="torchvision",
    family="regnet",
    source="github.com/pytorch/vision, models/regnet.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "stem.0"),
        ("stem.bn", "stem.1"),
        (f"{_OURS}.shortcut.conv", f"{_TORCHVISION}.proj.0"),
        (f"{_OURS}.shortcut.bn", f"{_TORCHVISION}.proj.1"),
        *(
            (f"{_OURS}.{ours}.{layer}", f"{_TORCHVISION}.f.{theirs}.{i}")
            for ours, theirs in (("conv1", "a"), ("conv2", "b"), ("conv3", "c"))
            for i, layer in enumerate(("conv", "bn"))
        ),
        (f"{_OURS}.se.squeeze", f"{_TORCHVISION}.f.se.fc1"),
        (f"{_OURS}.se.excite", f"{_TORCHVISION}.f.se.fc2"),
        ("classifier", "fc"),
    ),
)

TIMM = Dialect(
    name="timm",
    family="regnet",
    source="github.com/huggingface/pytorch-image-models, models/regnet.py",
    framework="torch",
    conventions="torchvision",
    rules=(
        ("stem.conv", "stem.conv"),
        ("stem.bn", "stem.bn"),
        *(
            (f"{_OURS}.{ours}.{layer}", f"{_TIMM}.{theirs}.{layer}")
            for ours, theirs in (
                *((f"conv{i}", f"conv{i}") for i in (1, 2, 3)),
                ("shortcut", "downsample"),
            )
            for layer in ("conv", "bn")
        ),
        (f"{_OURS}.se.squeeze", f"{_TIMM}.se.fc1"),
        (f"{_OURS}.se.excite", f"{_TIMM}.se.fc2"),
        ("classifier", "head.fc"),
    ),
)

# A list of cells names those of its first once more: stages are "0.blocks", "0.blocks.1.blocks", …
MINDCV = Dialect(
    name="mindcv",
    family="regnet",
    source="github.com/mindspore-lab/mindcv, models/regnet.py",
    framework="mindspore",
    conventions="torchvision",
    rules=(
        ("stem.conv", "stem.conv"),
        ("stem.bn", "stem.bn"),
        *(
            (f"{ours}.{{unit}}.{layer}", f"{theirs}.blocks.{{unit}}.{name}")
            for ours, theirs in (("stage1", "0"), ("stage{stage}", "0.blocks.{stage-1}"))
            for layer, name in (
                ("shortcut.conv", "proj"),
                ("shortcut.bn", "bn"),
                *((f"conv{i}.conv", f"f.{letter}") for i, letter in enumerate("abc", 1)),
                *((f"conv{i}.bn", f"f.{letter}_bn") for i, letter in enumerate("abc", 1)),
                ("se.squeeze", "f.se.conv_reduce"),
                ("se.excite", "f.se.conv_expand"),
            )
        ),
        ("classifier", "head.fc"),
    ),
)
