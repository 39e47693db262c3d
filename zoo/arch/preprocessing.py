"""How a picture becomes a network's input: what weights were trained and measured with."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from zoo.errors import SpecError, unknown
from zoo.text import TextError, parse_object

ChannelOrder = Literal["RGB", "BGR"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]

MAX_SIDE = 1 << 16
"""Of a picture that is scaled, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the input that the weights were measured with.

    The picture is scaled until its shorter side is `resize`, its center `crop` × `crop` is cut out,
    and each channel x, in 0..1, becomes ``value_range * (x - mean) / std``.

    Attributes:
        mean: by channel in `channel_order`, in units of x: 0..1 whatever `value_range` is.
        std: likewise.
        channel_order: the order of the input's channels.
        value_range: 1.0, or 255.0 for networks that are fed the pixels' bytes.
        resize: length of the shorter side after scaling, in pixels.
        crop: side of the square cut out of the middle, in pixels.
        interpolation: of the scaling.

    Raises:
        SpecError, UnknownNameError: a value that no picture can be treated by.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: ChannelOrder
    value_range: float
    resize: int
    crop: int
    interpolation: Interpolation

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise SpecError(f"{name} (={list(values)}) must be 3 numbers, one a color")
        if min(self.std) <= 0:
            raise SpecError(f"std (={list(self.std)}) must be greater than 0")
        if not 0 < self.value_range < math.inf:
            raise SpecError(f"value_range (={self.value_range:g}) must be greater than 0")
        for name, side in (("resize", self.resize), ("crop", self.crop)):
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
                raise SpecError(f"{name} (={side!r}) must be a whole number from 1 to {MAX_SIDE}")
        if self.crop > self.resize:
            raise SpecError(f"crop (={self.crop}) must be from 1 to resize (={self.resize})")
        if self.channel_order not in get_args(ChannelOrder):
            raise unknown("channel_order", self.channel_order, get_args(ChannelOrder))
        if self.interpolation not in get_args(Interpolation):
            raise unknown("interpolation", self.interpolation, get_args(Interpolation))

    def __str__(self) -> str:
        """Return it in one line."""
        mean, std = ([float(f"{v:.4g}") for v in values] for values in (self.mean, self.std))
        return (
            f"{self.channel_order} in 0..{self.value_range:g}, mean {mean}, std {std}, "
            f"{self.interpolation} to {self.resize}, the middle {self.crop}"
        )

    def to_json(self) -> str:
        """Return it as text, for the metadata of files."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Return what `to_json` wrote.

        Raises:
            SpecError, UnknownNameError: it is not such text, or no picture can be treated so.
        """
        try:
            fields = parse_object(text)
        except TextError as error:
            raise SpecError(f"not the JSON of a preprocessing: {error}") from None
        return cls.from_fields(fields)

    @classmethod
    def from_fields(cls, fields: object) -> Preprocessing:
        """Return the preprocessing with these fields, as JSON holds them.

        Raises:
            SpecError, UnknownNameError: there are others, or no picture can be treated so.
        """
        if not isinstance(fields, dict):
            raise SpecError(f"a preprocessing must be a JSON object, not {type(fields).__name__}")
        names = [field.name for field in dataclasses.fields(cls)]
        if set(fields) != set(names):
            raise SpecError(f"the fields of a preprocessing must be {names}, not {list(fields)}")
        read: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        try:
            return cls(**read)
        except TypeError as error:  # of another type
            raise SpecError(f"not the fields of a preprocessing: {error}") from None


IMAGENET = Preprocessing(
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    channel_order="RGB",
    value_range=1.0,
    resize=256,
    crop=224,
    interpolation="bilinear",
)
"""Of most published networks: MindCV's, MMPretrain's and the first two of torchvision's."""

MEGVII = replace(
    IMAGENET, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channel_order="BGR", value_range=255.0
)
"""Of the authors' release of the ShuffleNets, whose networks are fed a picture's bytes."""
