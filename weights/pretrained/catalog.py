"""The published weights by model and tag. A publication adds its entry to PRETRAINED."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import replace

from weights.pretrained.entry import Pretrained
from zoo.arch.preprocessing import IMAGENET, Preprocessing
from zoo.errors import UnknownNameError, unknown
from zoo.families.registry import catalog

# MindCV. The accuracies are those of the pages below, at the last commits that list all the files
# (later versions list the 0.5x alone, with the same figures). The pictures' treatment is not on the
# pages: their recipes (shufflenet_v1_{0.5,1.0}_ascend.yaml, shufflenet_v2_{0.5,1.0,1.5,2.0}_ascend
# .yaml) say image_resize 224, crop_pct 0.875, bilinear, of which mindcv/data/transforms_factory.py
# (0.3.0) makes Resize(floor(224 / 0.875) = 256) of the shorter side and CenterCrop(224).
# mindcv/data/constants.py has the mean and deviation, there times 255 because they meet pixels in
# 0..255. MindSpore's Decode gives RGB.
_MINDCV_COMMITS = {
    "shufflenetv1": "73988da2199c56e6fdd3f08578ebc43bb78fac6e",
    "shufflenetv2": "a66b81ec3bafd33c968bbee3cbe9def560c2e742",
}


def _mindcv(model: str, file: str, *, top1: float, top5: float) -> Pretrained:
    """Return an entry of MindCV's: addresses as in mindcv/models/shufflenetv{1,2}.py (0.3.0).

    The eight digits in a file's name are taken for the start of its SHA-256, as MindCV's release
    notes of 2023/03/25 (RELEASE.md, 0.2.0) say: "Rename checkpoint file name to follow naming rule
    ({model_scale-sha256sum.ckpt})". MindCV itself never compares them: its `download_url` checks an
    MD5 when given one, and `load_pretrained` gives none.
    """
    folder, _, _ = file.partition("/")
    return Pretrained(
        model=model,
        tag="mindcv/imagenet1k",
        url=f"https://download.mindspore.cn/toolkits/mindcv/shufflenet/{file}",
        sha256=file.removesuffix(".ckpt").rpartition("-")[2],
        size=None,  # stated nowhere
        license="Apache-2.0",  # MindCV's as a whole; it states no other for its weights
        dialect="mindcv",
        preprocessing=IMAGENET,
        top1=top1,
        top5=top5,
        source=f"https://github.com/mindspore-lab/mindcv/blob/{_MINDCV_COMMITS[folder]}/configs/"
        f"{folder}/README.md",
    )


def _mmpretrain(model: str, folder: str, file: str, *, top1: float, top5: float) -> Pretrained:
    """Return an entry of MMPretrain's (1.2.0).

    URL, accuracies, license: configs/shufflenet_v{1,2}/metafile.yml; the pictures' treatment:
    configs/_base_/datasets/imagenet_bs64_pil_resize.py, in units of 0..255. OpenMMLab publishes by
    a tool that appends the first eight digits of the file's SHA-256
    (tools/model_converters/publish_model.py).
    """
    return Pretrained(
        model=model,
        tag="mmpretrain/imagenet1k",
        url=f"https://download.openmmlab.com/mmclassification/v0/{folder}/{file}",
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        size=None,
        license="Apache-2.0",
        dialect="mmpretrain",
        preprocessing=IMAGENET,
        top1=top1,
        top5=top5,
        source=f"https://github.com/open-mmlab/mmpretrain/blob/main/configs/{folder}/README.md",
    )


def _torchvision(
    model: str, file: str, *, top1: float, top5: float, resize: int = 256
) -> Pretrained:
    """Return an entry of torchvision's: IMAGENET1K_V1 in torchvision/models/shufflenetv2.py.

    The digits in a file's name are the start of its SHA-256: torchvision has torch.hub check them.
    The size is given in rounded megabytes only. The license is torchvision's as a whole; the 0.5x
    and 1.0x come from github.com/ericsun99/Shufflenet-v2-Pytorch, which is BSD-2-Clause.
    """
    name = model.removesuffix("x").rpartition("_")[2].replace(".", "_")
    return Pretrained(
        model=model,
        tag="torchvision/imagenet1k",
        url=f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        size=None,
        license="BSD-3-Clause",
        dialect="torchvision",
        preprocessing=replace(IMAGENET, resize=resize),
        top1=top1,
        top5=top5,
        source="https://pytorch.org/vision/stable/models/generated/"
        f"torchvision.models.shufflenet_v2_x{name}.html",
    )


CIFAR10 = Preprocessing(
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    channel_order="RGB",
    value_range=1.0,
    resize=32,
    crop=32,
    interpolation="bilinear",
)
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def _packaged(model: str, sha256: str, *, top1: float, top5: float) -> Pretrained:
    """Return an entry of ours for CIFAR-10: `benchmarks/bundled.py` writes file, card and this row.

    The accuracy is that of the exact subset, as these are trained on images that went through JPEG.
    """
    file = f"{model}-cifar10.safetensors"
    return Pretrained(
        model=model,
        tag="cifar10",
        url=f"package:{file}",
        sha256=sha256,
        size=None,
        license="Apache-2.0",
        dialect="zoo",
        preprocessing=CIFAR10,
        top1=top1,
        top5=top5,
        source=f"weights/pretrained/bundled/{model}-cifar10.md",
        measured_on="1,017 of the test images",
        classes=CIFAR10_CLASSES,
    )


PRETRAINED: tuple[Pretrained, ...] = (
    _mindcv("shufflenet_v1_0.5x_g3", "shufflenetv1/shufflenet_v1_g3_05-42cfe109.ckpt",
            top1=57.05, top5=79.73),
    _mindcv("shufflenet_v1_1.0x_g3", "shufflenetv1/shufflenet_v1_g3_10-245f0ccf.ckpt",
            top1=67.77, top5=87.73),
    _mindcv("shufflenet_v2_0.5x", "shufflenetv2/shufflenet_v2_x0_5-8c841061.ckpt",
            top1=60.53, top5=82.11),
    _mindcv("shufflenet_v2_1.0x", "shufflenetv2/shufflenet_v2_x1_0-0da4b7fa.ckpt",
            top1=69.47, top5=88.88),
    _mindcv("shufflenet_v2_1.5x", "shufflenetv2/shufflenet_v2_x1_5-00b56131.ckpt",
            top1=72.79, top5=90.93),
    _mindcv("shufflenet_v2_2.0x", "shufflenetv2/shufflenet_v2_x2_0-ed8e698d.ckpt",
            top1=75.07, top5=92.08),
    _mmpretrain("shufflenet_v1_1.0x_g3", "shufflenet_v1",
                "shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth", top1=68.13, top5=87.81),
    _mmpretrain("shufflenet_v2_1.0x", "shufflenet_v2",
                "shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth", top1=69.55, top5=88.92),
    _torchvision("shufflenet_v2_0.5x", "shufflenetv2_x0.5-f707e7126e.pth",
                 top1=60.552, top5=81.746),
    _torchvision("shufflenet_v2_1.0x", "shufflenetv2_x1-5666bf0f80.pth",
                 top1=69.362, top5=88.316),
    _torchvision("shufflenet_v2_1.5x", "shufflenetv2_x1_5-3c479a10.pth",
                 top1=72.996, top5=91.086, resize=232),
    _torchvision("shufflenet_v2_2.0x", "shufflenetv2_x2_0-8be3c8ee.pth",
                 top1=76.230, top5=93.006, resize=232),
    _packaged("shufflenet_v1_0.5x_g3_cifar",
              "4e18c57dcdf2bac5244cceb1a130467e3ccec0f7ff732d0187b0506119a95690",
              top1=88.00, top5=99.61),
    _packaged("shufflenet_v1_1.0x_g3_cifar",
              "ae13e68ece2ecce06342f29deda6d709a7b1e304de2abdfc7cc41019f48aa8c0",
              top1=89.87, top5=99.71),
)  # fmt: skip


def _index(entries: Iterable[Pretrained]) -> dict[str, dict[str, Pretrained]]:
    """Return model → tag → entry.

    Raises:
        ValueError: a model has a tag twice, two entries share a place in the cache, or an address
            is not https.
    """
    index: dict[str, dict[str, Pretrained]] = {}
    files: set[str] = set()
    for entry in entries:
        tags = index.setdefault(entry.model, {})
        if entry.tag in tags:
            raise ValueError(f"{entry.model}: the tag {entry.tag!r} is taken")
        if entry.file in files:
            raise ValueError(f"{entry.model}: the file {entry.file!r} is taken")
        if not entry.url.startswith(("https://", "package:")):
            raise ValueError(f"{entry.model}: url (={entry.url!r}) must be https")
        tags[entry.tag] = entry
        files.add(entry.file)
    return index


_INDEX = _index(PRETRAINED)


def list_pretrained(pattern: str = "*") -> list[Pretrained]:
    """Return the published weights of the models that match a shell-style pattern.

    Sorted by model and tag.
    """
    return [
        _INDEX[model][tag]
        for model in sorted(fnmatch.filter(_INDEX, pattern))
        for tag in sorted(_INDEX[model])
    ]


def find(model: str, tag: str) -> Pretrained:
    """Return the published weights of a model.

    Args:
        model: a name of `zoo.list_models`.
        tag: a tag of the model's, ``"mindcv/imagenet1k"``.

    Raises:
        UnknownNameError: there is no such model, or none of its weights has this tag; those there
            are are named.
    """
    if model not in catalog():
        raise unknown("model", model, catalog())
    if model not in _INDEX:
        raise UnknownNameError(
            f"no weights are published for {model!r}; there are some for {', '.join(_INDEX)}"
        )
    if tag not in _INDEX[model]:
        raise unknown(f"weights of {model}", tag, _INDEX[model])
    return _INDEX[model][tag]


def is_tag(text: str) -> bool:
    """Return whether a text is the tag of any published weights."""
    return any(text in tags for tags in _INDEX.values())
