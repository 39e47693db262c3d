"""The steps of an input pipeline, by name: what is done to an image, not by whom.

Three realize them: NumPy and Pillow (`zoo.data`, the reference), torchvision (`backends.torch`) and
MindSpore's dataset package (`backends.mindspore`). Images are RGB, 8 bits a channel, until
`Normalize` makes of them float32 (3, H, W).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.errors import InputError, SpecError
from zoo.recipes.part import Part

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Color = tuple[float, float, float]
Size = tuple[int, int]
"""(width, height), as Pillow has it."""


def require_share(name: str, value: float) -> None:
    """Raise unless a value is a probability or a share."""
    if not 0 <= value <= 1:
        raise SpecError(f"{name} (={value:g}) must be from 0 to 1")


def require_side(name: str, value: int) -> None:
    """Raise unless a value is the side of an image, in pixels."""
    if not 1 <= value <= 65536:
        raise SpecError(f"{name} (={value}) must be from 1 to 65536")


class Step(Part):
    """Base of the transforms: what they make of the size of a picture, whoever carries them out.

    Attributes:
        draws: whether it draws numbers; no pipeline of evaluation has one that does.
    """

    draws: ClassVar[bool] = False

    name: str

    @property
    def side(self) -> int | None:
        """Of the square that it makes of any picture; None where it makes none."""
        side: int | None = getattr(self, "size", None)
        return side

    def output_size(self, size: Size) -> Size:
        """Return the size of a picture after it."""
        return (self.side, self.side) if self.side else size

    def check(self, size: Size) -> None:
        """Raise `InputError` where a picture is too small for it."""

    def __str__(self) -> str:
        """Return it in few words."""
        return f"{self.name} {self.side}" if self.side else self.name


class Crop(Step):
    """Base of those that cut a square out of a picture as it is, with a margin or without."""

    size: int
    padding: int = 0

    def check(self, size: Size) -> None:
        """Raise `InputError` where a picture has not the pixels.

        torchvision and MindSpore would frame it in black, each in another place.
        """
        if min(size) + 2 * self.padding < self.size:
            framed = f" with {self.padding} pixels around them" if self.padding else ""
            raise InputError(
                f"{self.name}.size (={self.size}) must be at most the sides of the picture "
                f"(={size[0]} × {size[1]} pixels{framed})"
            )


@dataclass(frozen=True, kw_only=True)
class Resize(Step):
    """Scale, with antialiasing.

    Attributes:
        size: of the shorter side in pixels; both sides become so long where ``square`` is set.
        interpolation: of Pillow's filters.
        square: whether the shape is given up.
    """

    name: Literal["resize"] = "resize"
    size: int
    interpolation: Interpolation = "bilinear"
    square: bool = False

    def __post_init__(self) -> None:
        require_side("resize.size", self.size)

    @property
    def side(self) -> int | None:
        """Of the square where the shape is given up."""
        return self.size if self.square else None

    def output_size(self, size: Size) -> Size:
        """Return the size of a picture after it; the longer side is cut off to whole pixels.

        MindSpore multiplies by the quotient of the sides, torchvision divides last, which is one
        pixel more for some sizes: this is torchvision's.
        """
        if self.square:
            return self.size, self.size
        width, height = (self.size * side // min(size) for side in size)
        return width, height

    def __str__(self) -> str:
        """Return it in few words."""
        return f"{self.name}{' square' * self.square} {self.size}"


@dataclass(frozen=True, kw_only=True)
class CenterCrop(Crop):
    """Cut a square of ``size`` pixels out of the middle."""

    name: Literal["center_crop"] = "center_crop"
    size: int

    def __post_init__(self) -> None:
        require_side("center_crop.size", self.size)


@dataclass(frozen=True, kw_only=True)
class RandomCrop(Crop):
    """Cut a square of ``size`` pixels out of the image, anywhere, after adding a margin.

    Attributes:
        size: of the square, in pixels.
        padding: pixels added on each side first.
        mode: what the margin is filled with: zeros, or the image mirrored at its edge.
    """

    draws: ClassVar[bool] = True
    name: Literal["random_crop"] = "random_crop"
    size: int
    padding: int = 0
    mode: Literal["constant", "reflect"] = "constant"

    def __post_init__(self) -> None:
        require_side("random_crop.size", self.size)
        if self.padding < 0:
            raise SpecError(f"random_crop.padding (={self.padding}) must be at least 0")

    def check(self, size: Size) -> None:
        """Raise `InputError` where a picture is too small to be cropped, or to be mirrored."""
        super().check(size)
        if self.mode == "reflect" and self.padding >= min(size):
            raise InputError(
                f"random_crop.padding (={self.padding}) must be less than the sides of the picture "
                f"(={size[0]} × {size[1]} pixels) to mirror it"
            )


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(Step):
    """Cut a rectangle of random area and shape and scale it to ``size`` × ``size`` pixels.

    Attributes:
        size: of the result, in pixels.
        scale: least and greatest area, as a share of the image's.
        ratio: least and greatest width over height, drawn evenly in its logarithm.
        interpolation: of Pillow's filters.
    """

    draws: ClassVar[bool] = True
    name: Literal["random_resized_crop"] = "random_resized_crop"
    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        require_side("random_resized_crop.size", self.size)
        for field, top in (("scale", 1.0), ("ratio", math.inf)):
            low, high = getattr(self, field)
            if not 0 < low <= high <= top:
                raise SpecError(
                    f"random_resized_crop.{field} (={low:g}, {high:g}) must be two growing numbers "
                    f"greater than 0 and at most {top:g}"
                )


@dataclass(frozen=True, kw_only=True)
class RandomHorizontalFlip(Step):
    """Mirror left and right, with probability ``p``."""

    draws: ClassVar[bool] = True
    name: Literal["random_horizontal_flip"] = "random_horizontal_flip"
    p: float = 0.5

    def __post_init__(self) -> None:
        require_share("random_horizontal_flip.p", self.p)


@dataclass(frozen=True, kw_only=True)
class RandomVerticalFlip(Step):
    """Mirror top and bottom, with probability ``p``."""

    draws: ClassVar[bool] = True
    name: Literal["random_vertical_flip"] = "random_vertical_flip"
    p: float = 0.5

    def __post_init__(self) -> None:
        require_share("random_vertical_flip.p", self.p)


@dataclass(frozen=True, kw_only=True)
class ColorJitter(Step):
    """Change brightness, contrast and saturation by factors, and the hue, in random order.

    Attributes:
        brightness, contrast, saturation: the factor is drawn from 1 - x to 1 + x, at least 0.
        hue: the shift around the circle of colors is drawn from -x to x; 1 is all the way round.
    """

    draws: ClassVar[bool] = True
    name: Literal["color_jitter"] = "color_jitter"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for field in ("brightness", "contrast", "saturation"):
            if not getattr(self, field) >= 0:
                raise SpecError(f"color_jitter.{field} (={getattr(self, field):g}) must be ≥ 0")
        if not 0 <= self.hue <= 0.5:
            raise SpecError(f"color_jitter.hue (={self.hue:g}) must be from 0 to 0.5")


@dataclass(frozen=True, kw_only=True)
class Normalize(Step):
    """Make of each pixel in 0..1 ``(x - mean) / std`` by channel: float32 (3, H, W).

    It ends every pipeline.
    """

    name: Literal["normalize"] = "normalize"
    mean: Color
    std: Color

    def __post_init__(self) -> None:
        if min(self.std) <= 0:
            raise SpecError(f"normalize.std (={list(self.std)}) must be greater than 0")

    def __str__(self) -> str:
        """Return it in few words."""
        mean, std = ([float(f"{v:.4g}") for v in values] for values in (self.mean, self.std))
        return f"normalize mean {mean}, std {std}"


Transform = Annotated[
    Resize
    | CenterCrop
    | RandomCrop
    | RandomResizedCrop
    | RandomHorizontalFlip
    | RandomVerticalFlip
    | ColorJitter
    | Normalize,
    Field(discriminator="name"),
]

RANDOM = (RandomCrop, RandomResizedCrop, RandomHorizontalFlip, RandomVerticalFlip, ColorJitter)
"""Those that draw numbers: no pipeline of evaluation has them."""
