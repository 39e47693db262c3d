"""Real images to prove things on: crops of the two photographs that ship inside scikit-learn."""

from __future__ import annotations

import numpy as np

from zoo.errors import NotInstalledError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, RGB in 0..1: what most published networks expect."""


def photographs(size: int) -> np.ndarray:
    """Return the photographs as a normalized batch, float32 (2, 3, size, size).

    A temple and a flower (scikit-learn's ``load_sample_images``), the largest centered square of
    each, resized.

    Raises:
        NotInstalledError: scikit-learn or Pillow is missing; tells what to install.
    """
    try:
        from PIL import Image
        from sklearn.datasets import load_sample_images
    except ImportError as error:
        raise NotInstalledError(
            f"the photographs need scikit-learn and Pillow ({error}): "
            "pip install 'parity-zoo[train]'"
        ) from None
    batch = []
    for pixels in load_sample_images().images:
        side = min(pixels.shape[:2])
        top, left = ((n - side) // 2 for n in pixels.shape[:2])
        square = Image.fromarray(pixels[top : top + side, left : left + side])
        resized = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR), np.float64)
        batch.append((resized / 255 - MEAN) / STD)
    return np.ascontiguousarray(np.stack(batch).transpose(0, 3, 1, 2), np.float32)
