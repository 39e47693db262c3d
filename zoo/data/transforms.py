"""The transforms by Pillow and NumPy: the reference that the frameworks' own are compared with.

What is done is torchvision's (``torchvision.transforms.v2`` on pictures), step by step: given the
same drawn values, the bytes are the same. Each random transform has a function that draws and one
that applies what was drawn. Everything drawn is made of ``generator.random()``: `zoo.data.gather`
draws the same for whole batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import numpy as np
from PIL import Image, ImageEnhance

from zoo.errors import SpecError
from zoo.recipes.pictures import ending
from zoo.recipes.transforms import (
    CenterCrop,
    ColorJitter,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    Size,
    Transform,
)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,  # of weights that were measured with it; no recipe asks for it
}
_TRIES = 10
"""How often `RandomResizedCrop` draws a rectangle before it settles for one in the middle."""

Box = tuple[int, int, int, int]
"""(left, top, width, height)."""


def apply(
    picture: Image.Image, transforms: Sequence[Transform], generator: np.random.Generator | None
) -> np.ndarray:
    """Return a picture after all transforms, the last of which is `Normalize`: float32 (3, H, W).

    Raises:
        InputError: a picture is too small for a crop.
        SpecError: as `pixels`, or the last transform is not `Normalize`.
    """
    steps, last = ending(transforms)
    return normalize(pixels(picture, steps, generator), last)


def pixels(
    picture: Image.Image,
    transforms: Sequence[Transform],
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """Return a picture after all transforms but `Normalize`: uint8 (H, W, 3).

    Args:
        picture: RGB.
        transforms: without `Normalize`.
        generator: what is drawn from; may be missing where nothing is.

    Raises:
        InputError: a picture is too small for a crop.
        SpecError: a transform draws numbers and there is no generator.
    """
    for step in transforms:
        picture = _applied(picture, step, generator)
    return np.asarray(picture)


def _applied(
    picture: Image.Image, step: Transform, generator: np.random.Generator | None
) -> Image.Image:
    if isinstance(step, Resize):
        return resize(picture, step)
    if isinstance(step, CenterCrop):
        return center_crop(picture, step)
    if isinstance(step, Normalize):
        raise SpecError("transforms must end in normalize, and have it once")
    if generator is None:
        raise SpecError(f"{step.name} draws numbers: it needs a generator")
    if isinstance(step, RandomCrop):
        return crop(picture, step, draw_crop(step, picture.size, generator))
    if isinstance(step, RandomResizedCrop):
        return resized_crop(picture, step, draw_resized_crop(step, picture.size, generator))
    if isinstance(step, RandomHorizontalFlip | RandomVerticalFlip):
        return flip(picture, step) if draw_flip(step, generator) else picture
    if isinstance(step, ColorJitter):
        return jitter(picture, draw_jitter(step, generator))
    assert_never(step)


def resize(picture: Image.Image, step: Resize) -> Image.Image:
    """Return a picture scaled; Pillow's filters are as wide as the step from pixel to pixel."""
    return picture.resize(step.output_size(picture.size), _FILTERS[step.interpolation])


def center_crop(picture: Image.Image, step: CenterCrop) -> Image.Image:
    """Return the middle of a picture; half a pixel is rounded to the even one, as in Python."""
    step.check(picture.size)
    left, top = (round((side - step.size) / 2) for side in picture.size)
    return picture.crop((left, top, left + step.size, top + step.size))


def draw_crop(step: RandomCrop, size: Size, generator: np.random.Generator) -> tuple[int, int]:
    """Return (left, top) in the picture with its margin; always draws two numbers, top first."""
    step.check(size)
    width, height = (side + 2 * step.padding - step.size + 1 for side in size)
    top, left = (int(generator.random() * count) for count in (height, width))
    return left, top


def crop(picture: Image.Image, step: RandomCrop, corner: tuple[int, int]) -> Image.Image:
    """Return the square at (left, top) of a picture with its margin."""
    margin = step.padding
    if step.mode == "reflect" and margin:
        width = ((margin, margin), (margin, margin), (0, 0))
        picture = Image.fromarray(np.pad(np.asarray(picture), width, mode="reflect"))
        margin = 0
    # What lies outside of a picture Pillow fills with zeros.
    left, top = (at - margin for at in corner)
    return picture.crop((left, top, left + step.size, top + step.size))


def draw_flip(
    step: RandomHorizontalFlip | RandomVerticalFlip, generator: np.random.Generator
) -> bool:
    """Return whether to mirror."""
    return bool(generator.random() < step.p)


def flip(picture: Image.Image, step: RandomHorizontalFlip | RandomVerticalFlip) -> Image.Image:
    """Return the mirror image of a picture."""
    if isinstance(step, RandomHorizontalFlip):
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def draw_resized_crop(step: RandomResizedCrop, size: Size, generator: np.random.Generator) -> Box:
    """Return the rectangle to cut out: a random area and shape that fits in one of ten tries.

    Where none did, it is the largest in the middle whose shape is admitted.
    """
    width, height = size
    low, high = (math.log(ratio) for ratio in step.ratio)
    for _ in range(_TRIES):
        area = width * height * _between(*step.scale, generator)
        ratio = math.exp(_between(low, high, generator))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = (int(generator.random() * (n + 1)) for n in (height - h, width - w))
            return left, top, w, h
    w, h = width, height
    if width / height < step.ratio[0]:
        h = round(width / step.ratio[0])
    elif width / height > step.ratio[1]:
        w = round(height * step.ratio[1])
    return (width - w) // 2, (height - h) // 2, w, h


def resized_crop(picture: Image.Image, step: RandomResizedCrop, box: Box) -> Image.Image:
    """Return a rectangle of a picture, scaled: what lies around it has no part in that."""
    left, top, width, height = box
    part = picture.crop((left, top, left + width, top + height))
    return part.resize((step.size, step.size), _FILTERS[step.interpolation])


def draw_jitter(step: ColorJitter, generator: np.random.Generator) -> list[tuple[str, float]]:
    """Return what is changed and by how much, in a random order; always draws eight numbers."""
    order = np.argsort(generator.random(4))
    factors: list[tuple[str, float]] = []
    for name in ("brightness", "contrast", "saturation"):
        width = getattr(step, name)
        factors.append((name, _between(max(0.0, 1 - width), 1 + width, generator)))
    factors.append(("hue", _between(-step.hue, step.hue, generator)))
    # The way to hue and back rounds: what is not asked for is not done, as in torchvision.
    return [factors[i] for i in order if getattr(step, factors[i][0])]


def jitter(picture: Image.Image, factors: Sequence[tuple[str, float]]) -> Image.Image:
    """Return a picture with its colors changed, one after the other."""
    for name, factor in factors:
        if name == "brightness":
            picture = ImageEnhance.Brightness(picture).enhance(factor)
        elif name == "contrast":
            picture = ImageEnhance.Contrast(picture).enhance(factor)
        elif name == "saturation":
            picture = ImageEnhance.Color(picture).enhance(factor)
        else:
            picture = _turned(picture, int(factor * 255))
    return picture


def _turned(picture: Image.Image, shift: int) -> Image.Image:
    """Return a picture whose hues, 0 to 255, are turned by as many steps."""
    hue, saturation, value = picture.convert("HSV").split()
    hue = hue.point([(at + shift) % 256 for at in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def normalize(image: np.ndarray, step: Normalize) -> np.ndarray:
    """Return what a network is fed: uint8 (..., H, W, 3) -> float32 (..., 3, H, W).

    The bits are those of torchvision's ``ToImage``, ``ToDtype(scale=True)`` and ``Normalize``:
    the same three operations, each rounded to float32. Networks that are fed a picture's bytes
    (a deviation of 1/255) get just these.
    """
    values = np.moveaxis(image, -1, -3).astype(np.float32, order="C")
    if not any(step.mean) and set(step.std) == {1 / 255}:
        return values
    values *= np.float32(1 / 255)
    values -= np.array(step.mean, np.float32)[:, None, None]
    values /= np.array(step.std, np.float32)[:, None, None]
    return values


def _between(low: float, high: float, generator: np.random.Generator) -> float:
    return low + (high - low) * float(generator.random())
