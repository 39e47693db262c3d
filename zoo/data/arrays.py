"""Images that are in memory, decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Pictures of one size.

    Attributes:
        pixels: RGB, uint8 (N, H, W, 3).
        source: where they came from, as messages call it.
        names: of the files below ``source``; without them messages tell the number.
    """

    pixels: np.ndarray
    source: str = "array"
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        shape = list(self.pixels.shape)
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or 0 in shape[1:]:
            raise InputError(
                f"{self.source}: images (={self.pixels.dtype} {shape}) must be uint8 (N, H, W, 3)"
            )
        if self.names is not None and len(self.names) != len(self.pixels):
            raise InputError(
                f"{self.source}: names (={len(self.names)}) must be as many as images "
                f"(={len(self.pixels)})"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def picture(self, index: int) -> Image:
        """Return a picture, RGB, 8 bits a channel."""
        from PIL import Image

        return Image.fromarray(self.pixels[index])

    def name(self, index: int) -> str:
        """Return what a message calls a picture."""
        if self.names is None:
            return f"{self.source}[{index}]"
        return f"{self.source}/{self.names[index]}"
