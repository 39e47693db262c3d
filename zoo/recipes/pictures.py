"""What all realizations of the transforms agree on: seeds, sizes, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from zoo.errors import InputError, SpecError
from zoo.recipes.transforms import Normalize, Size, Transform


def seed_of(seed: int, epoch: int, number: int) -> int:
    """Return what a framework's own generator is seeded with for an image, 64 bits.

    A hash: frameworks spread neighboring seeds badly, and neighboring images have them.
    """
    text = f"{seed} {epoch} {number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def size_after(transforms: Sequence[Transform], size: Size) -> Size:
    """Return the size of a picture after transforms."""
    for step in transforms:
        size = step.output_size(size)
    return size


def fixed_size(transforms: Sequence[Transform]) -> Size | None:
    """Return the size of what transforms make of any picture; None where that depends on it."""
    for at, step in enumerate(transforms):
        if step.side is not None:
            return size_after(transforms[at:], (step.side, step.side))
    return None


def ending(
    transforms: Sequence[Transform], what: str = "transforms", *, repeatable: bool = False
) -> tuple[tuple[Transform, ...], Normalize]:
    """Return all transforms but the last, and the last, which is the only `Normalize`.

    Args:
        transforms: a pipeline.
        what: it is called.
        repeatable: whether it may not draw numbers.

    Raises:
        SpecError: it ends in another, has it twice, or draws.
    """
    steps, last = tuple(transforms[:-1]), transforms[-1] if transforms else None
    if not isinstance(last, Normalize) or any(isinstance(step, Normalize) for step in steps):
        raise SpecError(f"{what} must end in normalize, and have it once")
    drawn = [step.name for step in steps if step.draws] if repeatable else []
    if drawn:
        raise SpecError(f"{what}: {drawn[0]} draws numbers; an evaluation must repeat itself")
    return steps, last


def require_pipeline(
    transforms: Sequence[Transform], batch_size: int, workers: int
) -> tuple[tuple[Transform, ...], Normalize]:
    """Return what `ending` does, or raise unless `batches` can be asked for this.

    Raises:
        SpecError: the last transform is not `Normalize`, or a number is too small.
    """
    if batch_size < 1:
        raise SpecError(f"batch_size (={batch_size}) must be at least 1")
    if workers < 0:
        raise SpecError(f"workers (={workers}) must be at least 0")
    return ending(transforms)


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
