"""The GhostNets of timm and MindCV, whose names differ in one layer; V2 is timm's alone."""

from dataclasses import replace

from weights.dialects.dialect import Dialect

_OURS, _THEIRS = "stage{stage}.{unit}", "blocks.{stage-1}.{unit}"


def _rules(last: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (
        ("stem.conv", "conv_stem"),
        ("stem.bn", "bn1"),
        *(
            (f"{_OURS}.{ghost}.{ours}.{layer}", f"{_THEIRS}.ghost{i}.{theirs}.{j}")
            for i, ghost in ((1, "expand"), (2, "project"))
            for ours, theirs in (("primary", "primary_conv"), ("cheap", "cheap_operation"))
            for j, layer in enumerate(("conv", "bn"))
        ),
        *(
            (f"{_OURS}.attention.{ours}.{layer}", f"{_THEIRS}.ghost1.short_conv.{i + j}")
            for i, ours in ((0, "pointwise"), (2, "horizontal"), (4, "vertical"))
            for j, layer in enumerate(("conv", "bn"))
        ),
        (f"{_OURS}.depthwise.conv", f"{_THEIRS}.conv_dw"),
        (f"{_OURS}.depthwise.bn", f"{_THEIRS}.bn_dw"),
        (f"{_OURS}.se.squeeze", f"{_THEIRS}.se.conv_reduce"),
        (f"{_OURS}.se.excite", f"{_THEIRS}.se.conv_expand"),
        *(
            (f"{_OURS}.shortcut.{ours}.{layer}", f"{_THEIRS}.shortcut.{i + j}")
            for i, ours in ((0, "depthwise"), (2, "project"))
            for j, layer in enumerate(("conv", "bn"))
        ),
        # Their last convolution is one stage more.
        ("last.conv", f"blocks.{{stages}}.{last[0]}"),
        ("last.bn", f"blocks.{{stages}}.{last[1]}"),
        ("hidden", "conv_head"),
        ("classifier", "classifier"),
    )


TIMM = Dialect(
    name="timm",
    family="ghostnet",
    source="github.com/huggingface/pytorch-image-models, models/ghostnet.py",
    framework="torch",
    conventions="timm",
    rules=_rules(("0.conv", "0.bn1")),
)

MINDCV = replace(
    TIMM,
    name="mindcv",
    source="github.com/mindspore-lab/mindcv, models/ghostnet.py",
    framework="mindspore",
    rules=_rules(("features.0", "features.1")),
)
