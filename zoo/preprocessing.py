"""From a picture to a network's input, as the network's weights expect it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.arch.preprocessing import IMAGENET, MEGVII, Preprocessing
from zoo.errors import InputError, unknown

if TYPE_CHECKING:
    from PIL import Image

PRESETS = {"imagenet": IMAGENET, "megvii": MEGVII}

LONGEST = 50
"""How many times as long as the other a side may be: scaled up, more would fill the memory."""


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


def square(picture: Image.Image, how: Preprocessing) -> np.ndarray:
    """Return the pixels of an RGB picture that a network gets to see, uint8 (crop, crop, 3).

    Lengths and the place of the crop are rounded as torchvision does.

    Raises:
        InputError: the picture is a strip.
    """
    from PIL import Image

    short, long = sorted(picture.size)
    if long > LONGEST * short:
        raise InputError(f"sides (={long} and {short} pixels) must be at most {LONGEST} to 1")
    width, height = (
        how.resize if side == short else int(how.resize * side / short) for side in picture.size
    )
    methods = {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "area": Image.Resampling.BOX,
    }
    scaled = picture.resize((width, height), methods[how.interpolation])
    left, top = (round((side - how.crop) / 2) for side in (width, height))
    return np.asarray(scaled.crop((left, top, left + how.crop, top + how.crop)))


def normalize(pixels: np.ndarray, how: Preprocessing) -> np.ndarray:
    """Return what a network is fed: RGB, uint8 (N, H, W, 3) -> float32 (N, 3, H, W)."""
    ordered = pixels[..., ::-1] if how.channel_order == "BGR" else pixels
    scale = how.value_range / (255 * np.array(how.std))
    values = (ordered - 255 * np.array(how.mean)) * scale
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)
