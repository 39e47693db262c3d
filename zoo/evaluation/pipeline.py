"""How pictures become the input of trained weights: as asked, or as it is known of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from weights import Checkpoint
from weights.pretrained import Preprocessing, Pretrained
from zoo.errors import InputError, SpecError, UnknownNameError, ZooError
from zoo.preprocessing import for_size, preset_of
from zoo.recipes import RANDOM, Normalize, Recipe, Transform
from zoo.recipes import recipe as recipe_of
from zoo.recipes.transforms import CenterCrop, Interpolation, Resize
from zoo.text import TextError, parse_object

Transforms = Sequence[Transform] | Preprocessing | str
"""Transforms, a preprocessing, or the name of one (``"imagenet"``, ``"megvii"``)."""


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
        parts = []
        for step in self.transforms:
            if isinstance(step, Normalize):
                mean, std = (
                    [float(f"{v:.4g}") for v in values] for values in (step.mean, step.std)
                )
                parts.append(f"normalize mean {mean}, std {std}")
            else:
                shape = " square" if isinstance(step, Resize) and step.square else ""
                size = getattr(step, "size", None)
                parts.append(f"{step.name}{shape}" + (f" {size}" if size else ""))
        return f"{', '.join(parts)}, {'BGR' if self.bgr else 'RGB'} ({self.told_by})"


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
        found = open_recipe(recipe)
        told = f"recipe {recipe}" if isinstance(recipe, str | Path) else "the recipe given"
        return Pipeline(found.evaluate, told)
    if transforms is None:
        return None
    if isinstance(transforms, str):
        return of_preprocessing(preset_of(transforms), image_size, f"preprocessing {transforms}")
    if isinstance(transforms, Preprocessing):
        return of_preprocessing(transforms, image_size, "the preprocessing given")
    steps = tuple(transforms)
    if [i for i, step in enumerate(steps, 1) if isinstance(step, Normalize)] != [len(steps)]:
        raise SpecError("transforms must end in normalize, and have it once")
    drawn = [step.name for step in steps if isinstance(step, RANDOM)]
    if drawn:
        raise SpecError(f"transforms: {drawn[0]} draws numbers; an evaluation must repeat itself")
    return Pipeline(steps, "the transforms given")


def open_recipe(recipe: str | Path | Recipe) -> Recipe:
    """Return a recipe by its name, from its file, or as it is.

    Raises:
        UnknownNameError, SpecError: there is none of this name, or the file holds none.
        ZooError: the file cannot be read.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if Path(recipe).suffix != ".json":
        return recipe_of(str(recipe))
    try:
        text = Path(recipe).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"{recipe}: cannot be read: {error}") from None
    try:
        return Recipe.from_json(text)
    except ZooError as error:
        raise type(error)(f"{recipe}: {error}") from None


def of_preprocessing(how: Preprocessing, image_size: int | None, told_by: str) -> Pipeline:
    """Return a preprocessing as transforms for images of a size.

    Raises:
        SpecError: it scales by area, which no transform does.
    """
    known = get_args(Interpolation)
    if how.interpolation not in known:
        raise SpecError(f"interpolation (={how.interpolation!r}) must be one of {', '.join(known)}")
    how = for_size(how, image_size or how.crop)
    bgr = how.channel_order == "BGR"
    mean, std = how.mean, tuple(value / how.value_range for value in how.std)
    if bgr:  # its numbers are in the order of its channels, a transform's in that of RGB
        mean, std = mean[::-1], std[::-1]
    steps: tuple[Transform, ...] = (
        Resize(size=how.resize, interpolation=how.interpolation),  # type: ignore[arg-type]
        CenterCrop(size=how.crop),
        Normalize(mean=mean, std=std),  # type: ignore[arg-type]
    )
    return Pipeline(steps, told_by, bgr)


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


def unknown_pipeline(name: str) -> ZooError:
    """Return the error for weights of which nothing is known."""
    return ZooError(
        f"{name}: how its images were prepared is not known; give recipe= (--recipe) or "
        "transforms= (--preprocessing imagenet or megvii)"
    )
