"""The published weights by model and tag. A publication adds its entry to PRETRAINED."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from weights.pretrained.entry import Pretrained
from zoo.arch.preprocessing import IMAGENET, Interpolation, Preprocessing
from zoo.errors import UnknownNameError, unknown
from zoo.families.registry import catalog

TABLES = Path(__file__).parent / "published"
"""What `benchmarks/published.py` reads off the packages of torchvision, timm and MindCV."""
TIMM_RESULTS = "0173a139a2c66db3a41ebfe1d8ac4fb02483642e"
"""The commit of timm's accuracies, of pictures as its ``validate.py`` prepares them."""


def _from_table(code_base: str) -> Iterator[Pretrained]:
    """Yield a code base's entries.

    The digits in torchvision's file names are the start of their SHA-256: it has torch.hub check
    them. Those in MindCV's are taken for the same, as its release notes of 2023/03/25 (RELEASE.md,
    0.2.0) say: "Rename checkpoint file name to follow naming rule ({model_scale-sha256sum.ckpt})".
    timm's are on the hub, which says their hashes.
    """
    for row in json.loads((TABLES / f"{code_base}.json").read_bytes()):
        name, url = row["name"], row["url"]
        builder, _, trained = name.partition(".")
        if code_base == "torchvision":
            tag = f"torchvision/{trained.lower().removesuffix('_v1')}"
            source = f"https://pytorch.org/vision/stable/models/generated/torchvision.models.{builder}.html"
        elif code_base == "timm":
            tag = f"timm/{name}"
            blob = "https://github.com/huggingface/pytorch-image-models/blob"
            stated = f"{TIMM_RESULTS}/results/results-imagenet.csv"
            source = f"{blob}/{stated if 'top1' in row else 'main/timm/models'}"
        else:
            tag = "mindcv/imagenet1k"
            blob = "https://github.com/mindspore-lab/mindcv/blob"
            source = f"{blob}/{row.get('source', 'main/mindcv/models')}"
        hashed = re.search(r"-([0-9a-f]{8,})\.\w+$", url)
        yield Pretrained(
            model=row["model"],
            tag=tag,
            url=url,
            sha256=hashed[1] if hashed else "",
            size=None,  # stated nowhere, or in rounded megabytes
            license=row["license"],
            dialect=row.get("dialect", code_base),
            preprocessing=_pictures(
                tuple(row.get("mean", IMAGENET.mean)),
                tuple(row.get("std", IMAGENET.std)),
                row.get("resize", IMAGENET.resize),
                row.get("crop", IMAGENET.crop),
                row.get("interpolation", IMAGENET.interpolation),
            ),
            top1=row.get("top1"),
            top5=row.get("top5"),
            source=source,
            preset=row.get("preset", ""),
        )


@cache
def _pictures(
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    resize: int,
    crop: int,
    interpolation: Interpolation,
) -> Preprocessing:
    return replace(
        IMAGENET, mean=mean, std=std, resize=resize, crop=crop, interpolation=interpolation
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
    *_from_table("torchvision"),
    *_from_table("timm"),
    *_from_table("mindcv"),
    _mmpretrain("shufflenet_v1_1.0x_g3", "shufflenet_v1",
                "shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth", top1=68.13, top5=87.81),
    _mmpretrain("shufflenet_v2_1.0x", "shufflenet_v2",
                "shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth", top1=69.55, top5=88.92),
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
        if not entry.url.startswith(("https://", "package:", "hf-hub:")):
            raise ValueError(f"{entry.model}: url (={entry.url!r}) must be https")
        tags[entry.tag] = entry
        files.add(entry.file)
    return index


_INDEX = _index(PRETRAINED)
BEST = "best"
"""What stands for the most accurate ones where a tag would."""


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
        UnknownNameError: there is no such model, or none of its weights has this tag; those that
            there are are named.
    """
    if model not in catalog():
        raise unknown("model", model, catalog())
    if model not in _INDEX:
        raise UnknownNameError(
            f"no weights are published for {model!r}; there are some for {len(_INDEX)} other "
            "networks (zoo list --weights)"
        )
    if tag not in _INDEX[model]:
        raise unknown(f"weights of {model}", tag, _INDEX[model])
    return _INDEX[model][tag]


def is_tag(text: str) -> bool:
    """Return whether a text is the tag of any published weights, or asks for the best."""
    return text == BEST or any(text in tags for tags in _INDEX.values())
