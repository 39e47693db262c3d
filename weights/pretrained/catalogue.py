"""The published weights by model and tag. A publication adds its entry to PRETRAINED."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from weights.dialects import find_dialect
from zoo.arch.catalogue import CATALOGUE
from zoo.errors import UnknownNameError, unknown


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the input that the weights were measured with.

    The picture is scaled until its shorter side is `resize`, its centre `crop` × `crop` is cut out,
    and each channel x, in 0..1, becomes ``value_range * (x - mean) / std``.

    Attributes:
        mean: by channel in `channel_order`, in units of x: 0..1 whatever `value_range` is.
        std: likewise.
        channel_order: the order of the input's channels.
        value_range: 1.0, or 255.0 for networks that are fed the pixels' bytes.
        resize: length of the shorter side after scaling, in pixels.
        crop: side of the square cut out of the middle, in pixels.
        interpolation: of the scaling.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: Literal["RGB", "BGR"]
    value_range: float
    resize: int
    crop: int
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"]


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One published file of weights.

    Attributes:
        model: the network's name in the catalogue (`zoo.list_models`).
        tag: who trained it on what, ``"mindcv/imagenet1k"``; unique for the model.
        url: where the publisher has the file.
        sha256: the first hexadecimal digits, at least 8, of the file's SHA-256. Eight find every
            damage, but stop nobody who is out to forge a file.
        size: bytes of the file, or None where the publisher does not say.
        licence: SPDX identifier.
        dialect: whose names and layouts the arrays in the file have.
        preprocessing: of the pictures that the accuracy was measured on.
        top1: accuracy in percent on the data set's validation part, as published, or None.
        top5: likewise.
        source: the page that states the accuracy.

    Raises:
        ValueError: the hash or tag is malformed, or the URL names no file.
    """

    model: str
    tag: str
    url: str
    sha256: str
    size: int | None
    licence: str
    dialect: str
    preprocessing: Preprocessing
    top1: float | None
    top5: float | None
    source: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"sha256 (={self.sha256!r}) must be 8 to 64 lower-case hex digits")
        # The tag is a folder of the cache and the URL's last part a file there: neither may lead
        # to another place.
        if not re.fullmatch(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", self.tag, re.ASCII):
            raise ValueError(f"tag (={self.tag!r}) must be like 'publisher/dataset'")
        if not re.fullmatch(r"\w[\w.+-]*", self.file.rpartition("/")[2], re.ASCII):
            raise ValueError(f"url (={self.url!r}) must end in the name of a file")

    @property
    def file(self) -> str:
        """The file's place in the cache: the tag's folder and the publisher's file name."""
        return f"{self.tag}/{urlsplit(self.url).path.rpartition('/')[2]}"

    @property
    def conventions(self) -> str | None:
        """The preset that the network has: its code base's."""
        (dialect,) = find_dialect(self.dialect, CATALOGUE[self.model].family)
        return dialect.conventions


# The accuracies are those of the page below, at the last commit that lists both files (its later
# versions list the 0.5x alone, with the same figures). The pictures' treatment is not on the page:
# its recipes (shufflenet_v1_{0.5,1.0}_ascend.yaml) say image_resize 224, crop_pct 0.875, bilinear,
# of which mindcv/data/transforms_factory.py (0.3.0) makes Resize(floor(224 / 0.875) = 256) of the
# shorter side and CenterCrop(224). mindcv/data/constants.py has the mean and deviation, there times
# 255 because they meet pixels in 0..255. MindSpore's Decode gives RGB.
_MINDCV_SOURCE = (
    "https://github.com/mindspore-lab/mindcv/blob/73988da2199c56e6fdd3f08578ebc43bb78fac6e/"
    "configs/shufflenetv1/README.md"
)
_IMAGENET = Preprocessing(
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    channel_order="RGB",
    value_range=1.0,
    resize=256,
    crop=224,
    interpolation="bilinear",
)


def _mindcv(model: str, file: str, *, top1: float, top5: float) -> Pretrained:
    """Return an entry of MindCV's: addresses as in mindcv/models/shufflenetv1.py (0.3.0).

    The eight digits in a file's name are taken for the start of its SHA-256, as MindCV's release
    notes of 2023/03/25 (RELEASE.md, 0.2.0) say: "Rename checkpoint file name to follow naming rule
    ({model_scale-sha256sum.ckpt})". MindCV itself never compares them: its `download_url` checks an
    MD5 when given one, and `load_pretrained` gives none.
    """
    return Pretrained(
        model=model,
        tag="mindcv/imagenet1k",
        url=f"https://download.mindspore.cn/toolkits/mindcv/shufflenet/shufflenetv1/{file}",
        sha256=file.removesuffix(".ckpt").rpartition("-")[2],
        size=None,  # stated nowhere
        licence="Apache-2.0",  # MindCV's as a whole; it states no other for its weights
        dialect="mindcv",
        preprocessing=_IMAGENET,
        top1=top1,
        top5=top5,
        source=_MINDCV_SOURCE,
    )


# URL, accuracies, licence: configs/shufflenet_v1/metafile.yml of mmpretrain 1.2.0; the pictures'
# treatment: configs/_base_/datasets/imagenet_bs64_pil_resize.py. OpenMMLab publishes by a tool that
# appends the first eight digits of the file's SHA-256 (tools/model_converters/publish_model.py).
_MMPRETRAIN = Pretrained(
    model="shufflenet_v1_1.0x_g3",
    tag="mmpretrain/imagenet1k",
    url="https://download.openmmlab.com/mmclassification/v0/shufflenet_v1/"
    "shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth",
    sha256="5d6cec73",
    size=None,
    licence="Apache-2.0",
    dialect="mmpretrain",
    preprocessing=_IMAGENET,  # the same, in units of 0..255
    top1=68.13,
    top5=87.81,
    source="https://github.com/open-mmlab/mmpretrain/blob/main/configs/shufflenet_v1/README.md",
)

PRETRAINED: tuple[Pretrained, ...] = (
    _mindcv(
        "shufflenet_v1_0.5x_g3", "shufflenet_v1_g3_05-42cfe109.ckpt", top1=57.05, top5=79.73
    ),
    _mindcv(
        "shufflenet_v1_1.0x_g3", "shufflenet_v1_g3_10-245f0ccf.ckpt", top1=67.77, top5=87.73
    ),
    _MMPRETRAIN,
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
        if not entry.url.startswith("https://"):
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
    if model not in CATALOGUE:
        raise unknown("model", model, CATALOGUE)
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
