"""Pictures small enough for a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 160
"""Pixels of the longer side in a grid, at most."""


def thumbnail(picture: Image) -> np.ndarray:
    """Return a picture, scaled down if it is large: RGB, uint8 (H, W, 3)."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small)
