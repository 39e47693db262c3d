"""What all realizations of the transforms agree on: sizes, seeds, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from zoo.errors import InputError, SpecError
from zoo.recipes.transforms import CenterCrop, Normalize, RandomCrop, Resize, Transform

Size = tuple[int, int]
"""(width, height), as Pillow has it."""


def resized(step: Resize, size: Size) -> Size:
    """Return the size that a picture is scaled to; the longer side is cut off to whole pixels.

    MindSpore multiplies by the quotient of the sides, torchvision divides last, which is one pixel
    more for some sizes: this is torchvision's.
    """
    if step.square:
        return step.size, step.size
    short = min(size)
    width, height = (step.size * side // short for side in size)
    return width, height


def seed_of(seed: int, epoch: int, number: int) -> int:
    """Return what a framework's own generator is seeded with for an image, 64 bits.

    A hash: frameworks spread neighboring seeds badly, and neighboring images have them.
    """
    text = f"{seed} {epoch} {number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def require_room(step: CenterCrop | RandomCrop, size: Size) -> None:
    """Raise unless a picture has the pixels that a crop cuts out.

    torchvision and MindSpore would frame it in black, each in another place.

    Raises:
        InputError: it is too small.
    """
    margin = step.padding if isinstance(step, RandomCrop) else 0
    if min(size) + 2 * margin < step.size:
        framed = f" with {margin} pixels around them" if margin else ""
        raise InputError(
            f"{step.name}.size (={step.size}) must be at most the sides of the picture "
            f"(={size[0]} × {size[1]} pixels{framed})"
        )
    if isinstance(step, RandomCrop) and step.mode == "reflect" and margin >= min(size):
        raise InputError(
            f"{step.name}.padding (={margin}) must be less than the sides of the picture "
            f"(={size[0]} × {size[1]} pixels) to mirror it"
        )


def require_pipeline(transforms: Sequence[Transform], batch_size: int, workers: int) -> None:
    """Raise unless `batches` can be asked for this.

    Raises:
        SpecError: the last transform is not `Normalize`, or a number is too small.
    """
    if [i for i, s in enumerate(transforms, 1) if isinstance(s, Normalize)] != [len(transforms)]:
        raise SpecError("transforms must end in normalize, and have it once")
    if batch_size < 1:
        raise SpecError(f"batch_size (={batch_size}) must be at least 1")
    if workers < 0:
        raise SpecError(f"workers (={workers}) must be at least 0")


def require_one_size(sizes: Sequence[tuple[int, Size]]) -> None:
    """Raise unless the images of a batch, given as (number, size), have one size.

    Raises:
        InputError: two have not.
    """
    first, size = sizes[0]
    for number, other in sizes[1:]:
        if other != size:
            raise InputError(
                f"images of a batch must be of one size, but after the transforms image {first} "
                f"is {size[0]} × {size[1]} pixels and image {number} {other[0]} × {other[1]}: "
                "end them in a crop or a square resize"
            )
