"""From a picture to a network's input: as asked, or as it is known of the network's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from weights import Checkpoint
from weights.pretrained import Pretrained
from zoo.arch.preprocessing import IMAGENET, MEGVII, Preprocessing
from zoo.data import transforms as pillow
from zoo.errors import InputError, SpecError, UnknownNameError, ZooError, unknown
from zoo.pictures import require_no_strip
from zoo.recipes import CenterCrop, Normalize, Recipe, Resize, Transform, open_recipe
from zoo.recipes.pictures import ending
from zoo.recipes.transforms import Interpolation
from zoo.text import TextError, parse_object

if TYPE_CHECKING:
    from PIL import Image

PRESETS = {"imagenet": IMAGENET, "megvii": MEGVII}

Transforms = Sequence[Transform] | Preprocessing | str
"""Transforms, a preprocessing, or the name of one (``"imagenet"``, ``"megvii"``)."""


def preset_of(name: str) -> Preprocessing:
    """Return a preset.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in PRESETS:
        raise unknown("preprocessing", name, PRESETS)
    return PRESETS[name]


def for_size(how: Preprocessing, image_size: int) -> Preprocessing:
    """Return a preprocessing for images of another size: the margin cut off keeps its share."""
    return replace(how, crop=image_size, resize=round(how.resize * image_size / how.crop))


def _steps(how: Preprocessing) -> tuple[Resize, CenterCrop, Normalize]:
    mean, std = how.mean, tuple(value / how.value_range for value in how.std)
    if how.channel_order == "BGR":  # in the order of its channels; a transform's is that of RGB
        mean, std = mean[::-1], std[::-1]
    scaled = Resize(size=how.resize, interpolation=how.interpolation)  # type: ignore[arg-type]
    return scaled, CenterCrop(size=how.crop), Normalize(mean=mean, std=std)  # type: ignore[arg-type]


def square(picture: Image.Image, how: Preprocessing) -> np.ndarray:
    """Return the pixels of an RGB picture that a network gets to see, uint8 (crop, crop, 3).

    Raises:
        InputError: the picture is a strip.
    """
    require_no_strip(picture.size)
    return pillow.pixels(picture, _steps(how)[:2])


def normalize(pixels: np.ndarray, how: Preprocessing) -> np.ndarray:
    """Return what a network is fed: RGB, uint8 (N, H, W, 3) -> float32 (N, 3, H, W)."""
    values = pillow.normalize(pixels, _steps(how)[-1])
    return Pipeline((), "", how.channel_order == "BGR").ordered(values)


@dataclass(frozen=True)
class Pipeline:
    """What is done to a picture before a network sees it.

    Attributes:
        transforms: in order; the last is `Normalize`, in the order of RGB.
        told_by: who says so.
        bgr: whether the channels are turned round at the end.
    """

    transforms: tuple[Transform, ...]
    told_by: str
    bgr: bool = False

    def ordered(self, batch: np.ndarray) -> np.ndarray:
        """Return a batch, RGB (N, 3, H, W), with its channels in the network's order."""
        return np.ascontiguousarray(batch[:, ::-1]) if self.bgr else batch

    def __str__(self) -> str:
        """Return it in one line."""
        steps = ", ".join(map(str, self.transforms))
        return f"{steps}, {'BGR' if self.bgr else 'RGB'} ({self.told_by})"


def asked(
    transforms: Transforms | None, recipe: str | Path | Recipe | None, image_size: int | None
) -> Pipeline | None:
    """Return what the caller asks for; None where nothing is.

    Args:
        transforms: what is done to a picture. A preprocessing is scaled to the network's size.
        recipe: or a recipe that says so: its name, its file (``.json``), or the recipe itself.
        image_size: height and width of the network's images; None where any will do.

    Raises:
        ZooError: both are given.
        SpecError: transforms that draw numbers, or that do not end in `Normalize`.
        UnknownNameError: there is no such recipe or preprocessing.
    """
    if recipe is not None:
        if transforms is not None:
            raise ZooError("transforms and recipe cannot both be given: each says what is done")
        told = f"recipe {recipe}" if isinstance(recipe, str | Path) else "the recipe given"
        return Pipeline(open_recipe(recipe).evaluate, told)
    if transforms is None:
        return None
    if isinstance(transforms, str):
        return of_preprocessing(preset_of(transforms), image_size, f"preprocessing {transforms}")
    if isinstance(transforms, Preprocessing):
        return of_preprocessing(transforms, image_size, "the preprocessing given")
    ending(transforms, repeatable=True)
    return Pipeline(tuple(transforms), "the transforms given")


def of_preprocessing(how: Preprocessing, image_size: int | None, told_by: str) -> Pipeline:
    """Return a preprocessing as transforms for images of a size.

    Raises:
        SpecError: it scales by area, which no transform does.
    """
    known = get_args(Interpolation)
    if how.interpolation not in known:
        raise SpecError(f"interpolation (={how.interpolation!r}) must be one of {', '.join(known)}")
    steps = _steps(for_size(how, image_size or how.crop))
    return Pipeline(steps, told_by, how.channel_order == "BGR")


def known_of_file(
    checkpoint: Checkpoint, entry: Pretrained | None, image_size: int
) -> Pipeline | None:
    """Return what is known of published weights and of files that say it; None of others.

    Args:
        checkpoint: the weights.
        entry: what is published of them, where they were asked for by name.
        image_size: height and width of the network's images.
    """
    if entry is not None:
        return of_preprocessing(entry.preprocessing, image_size, f"published with {entry.tag}")
    how = checkpoint.preprocessing
    if how is None:
        return None
    stated = checkpoint.stated is not None
    told_by = "the file's metadata" if stated else f"of {checkpoint.dialect}'s ImageNet weights"
    return of_preprocessing(how, image_size, told_by)


def known_of_onnx(
    metadata: Mapping[str, str], mean: Any, std: Any, size: int | None
) -> Pipeline | None:
    """Return what the metadata of an ONNX file tell; None where they tell nothing.

    What `quantize` wrote tells everything. Of mean and deviation alone follows no size: the shorter
    side of a picture is scaled to the network's, and the middle is cut out.
    """
    if "zoo.quantization" in metadata:
        try:
            told = parse_object(metadata["zoo.quantization"])
            how = Preprocessing.from_fields(told.get("preprocessing"))
        except (TextError, SpecError, UnknownNameError) as error:
            raise InputError(f"zoo.quantization in the file's metadata: {error}") from None
        return of_preprocessing(how, size, "the file's metadata")
    if mean is None or std is None or size is None:
        return None
    normalize = Normalize(mean=tuple(mean), std=tuple(std))
    return Pipeline((Resize(size=size), CenterCrop(size=size), normalize), "the file's metadata")
