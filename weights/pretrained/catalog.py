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
    model: str,
    file: str,
    *,
    top1: float,
    top5: float,
    resize: int = 256,
    crop: int = 224,
    cubic: bool = False,
    second: bool = False,
) -> Pretrained:
    """Return an entry of torchvision's: IMAGENET1K_V1, or the ``second``, in torchvision/models.

    The digits in a file's name are the start of its SHA-256: torchvision has torch.hub check them.
    The size is given in rounded megabytes only. The license is torchvision's as a whole; the 0.5x
    and 1.0x of ShuffleNet V2 come from github.com/ericsun99/Shufflenet-v2-Pytorch, which is
    BSD-2-Clause. EfficientNet-B2, measured at another size than the paper's, is left out.
    """
    stem, _, width = model.removesuffix("x").rpartition("_")
    name = {
        "shufflenet_v2": f"shufflenet_v2_x{width.replace('.', '_')}",
        "mobilenet_v2": "mobilenet_v2",
        "mobilenet_v3_large": "mobilenet_v3_large",
        "mobilenet_v3_small": "mobilenet_v3_small",
        "mnasnet": f"mnasnet{width.replace('.', '_')}",
    }.get(stem, model)
    return Pretrained(
        model=model,
        tag=f"torchvision/imagenet1k{'_v2' if second else ''}",
        url=f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        size=None,
        license="BSD-3-Clause",
        dialect="torchvision",
        preprocessing=replace(
            IMAGENET,
            resize=resize,
            crop=crop,
            interpolation="bicubic" if cubic else "bilinear",
        ),
        top1=top1,
        top5=top5,
        source=f"https://pytorch.org/vision/stable/models/generated/torchvision.models.{name}.html",
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
    _torchvision("mobilenet_v2_1.0x", "mobilenet_v2-b0353104.pth", top1=71.878, top5=90.286),
    _torchvision("mobilenet_v2_1.0x", "mobilenet_v2-7ebf99e0.pth", top1=72.154, top5=90.822,
                 resize=232, second=True),
    _torchvision("mobilenet_v3_large_1.0x", "mobilenet_v3_large-8738ca79.pth",
                 top1=74.042, top5=91.340),
    _torchvision("mobilenet_v3_large_1.0x", "mobilenet_v3_large-5c1a4163.pth",
                 top1=75.274, top5=92.566, resize=232, second=True),
    _torchvision("mobilenet_v3_small_1.0x", "mobilenet_v3_small-047dcff4.pth",
                 top1=67.668, top5=87.402),
    _torchvision("mnasnet_0.5x", "mnasnet0.5_top1_67.823-3ffadce67e.pth",
                 top1=67.734, top5=87.490),
    _torchvision("mnasnet_0.75x", "mnasnet0_75-7090bc5f.pth",
                 top1=71.180, top5=90.496, resize=232),
    _torchvision("mnasnet_1.0x", "mnasnet1.0_top1_73.512-f206786ef8.pth",
                 top1=73.456, top5=91.510),
    _torchvision("mnasnet_1.3x", "mnasnet1_3-a4c69d6f.pth",
                 top1=76.506, top5=93.522, resize=232),
    _torchvision("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth",
                 top1=77.692, top5=93.532, cubic=True),
    _torchvision("efficientnet_b1", "efficientnet_b1_rwightman-bac287d4.pth",
                 top1=78.642, top5=94.186, crop=240, cubic=True),
    _torchvision("efficientnet_b1", "efficientnet_b1-c27df63c.pth",
                 top1=79.838, top5=94.934, resize=255, crop=240, second=True),
    _torchvision("efficientnet_b3", "efficientnet_b3_rwightman-b3899882.pth",
                 top1=82.008, top5=96.054, resize=320, crop=300, cubic=True),
    _torchvision("efficientnet_b4", "efficientnet_b4_rwightman-23ab8bcd.pth",
                 top1=83.384, top5=96.594, resize=384, crop=380, cubic=True),
    _torchvision("efficientnet_b5", "efficientnet_b5_lukemelas-1a07897c.pth",
                 top1=83.444, top5=96.628, resize=456, crop=456, cubic=True),
    _torchvision("efficientnet_b6", "efficientnet_b6_lukemelas-24a108a5.pth",
                 top1=84.008, top5=96.916, resize=528, crop=528, cubic=True),
    _torchvision("efficientnet_b7", "efficientnet_b7_lukemelas-c5b4e57e.pth",
                 top1=84.122, top5=96.908, resize=600, crop=600, cubic=True),
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
