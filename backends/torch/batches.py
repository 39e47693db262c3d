"""Batches by torchvision's transforms (v2, on pictures), in PyTorch's own loader."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.errors import ZooError
from zoo.recipes import Transform
from zoo.recipes.pictures import require_one_size, require_pipeline, seed_of
from zoo.recipes.transforms import (
    CenterCrop,
    ColorJitter,
    Crop,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from PIL.Image import Image

Item = tuple[int, torch.Tensor] | ZooError

_PRELOADED = ["torchvision.transforms.v2", __name__]
"""What the server that workers are forked from imports, once for all of them."""


def batches(
    picture: Callable[[int], Image],
    transforms: Sequence[Transform],
    order: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    workers: int,
) -> Generator[np.ndarray, None, None]:
    """Return batches of transformed images; see `backends.Backend.batches`.

    ``workers`` are processes. They come from multiprocessing's fork server, as is Python's default
    from 3.14 on: ``picture`` has to be picklable, and a script that asks for workers has to keep
    what it does under ``if __name__ == "__main__"``.

    Raises:
        InputError: a picture cannot be read or is too small for a crop, or those of a batch have
            different sizes in the end.
        SpecError: the last transform is not `Normalize`, or a number is too small.
    """
    require_pipeline(transforms, batch_size, workers)
    images = _Images(picture, transforms, seed, epoch)
    return _loaded(images, order, batch_size, workers)


def _loaded(
    images: _Images, order: np.ndarray, batch_size: int, workers: int
) -> Generator[np.ndarray, None, None]:
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        images,  # type: ignore[arg-type]  # items are all that it asks for
        sampler=order.tolist(),
        batch_size=batch_size,
        num_workers=workers,
        multiprocessing_context=_processes() if workers else None,
        collate_fn=_stacked,
        generator=torch.Generator(),  # it would draw its workers' seed from the global one
    )
    for batch in loader:
        if isinstance(batch, ZooError):
            raise batch
        yield batch


def _processes() -> BaseContext:
    # Not forks of this process: it may run the threads of several frameworks, each of which can
    # hold a lock, or be in the middle of changing its memory, when the copy is taken.
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context()  # Windows, which knows no forks anyway
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


class _Images:
    """The transformed images by number, as a `DataLoader` wants them."""

    def __init__(
        self,
        picture: Callable[[int], Image],
        transforms: Sequence[Transform],
        seed: int,
        epoch: int,
    ) -> None:
        from torchvision.transforms import v2  # type: ignore[import-untyped]

        self._picture = picture
        self._seed, self._epoch = seed, epoch
        self._transform = v2.Compose([op for step in transforms for op in _operations(step, v2)])

    def __getitem__(self, number: int) -> Item:
        # An error goes to the consumer as a value: the loader would bury it in a traceback's text.
        try:
            picture = self._picture(number)
            with _seeded(seed_of(self._seed, self._epoch, number)):
                return number, self._transform(picture)
        except ZooError as error:
            return error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let PyTorch's generator of the CPU start from a seed, and put it back afterwards."""
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def _stacked(items: Sequence[Item]) -> np.ndarray | ZooError:
    # An array goes through the workers' pipe. A tensor would go through shared memory, of which
    # containers have little, and which is suspected of a batch that once had garbage in it.
    sizes, images = [], []
    for item in items:
        if isinstance(item, ZooError):
            return item
        number, image = item
        sizes.append((number, (image.shape[2], image.shape[1])))
        images.append(image)
    try:
        require_one_size(sizes)
    except ZooError as error:
        return error
    return torch.stack(images).numpy()


def _operations(step: Transform, v2: ModuleType) -> list[Callable[[Any], Any]]:
    """Return torchvision's transforms (v2) that do what a step says."""
    made: list[Callable[[Any], Any]]
    match step:
        case Resize():
            size = [step.size] * 2 if step.square else [step.size]
            made = [v2.Resize(size, interpolation=v2.InterpolationMode(step.interpolation))]
        case CenterCrop():
            made = [partial(_with_room, step), v2.CenterCrop(step.size)]
        case RandomCrop():
            crop = v2.RandomCrop(step.size, padding=step.padding, padding_mode=step.mode)
            made = [partial(_with_room, step), crop]
        case RandomResizedCrop():
            method = v2.InterpolationMode(step.interpolation)
            made = [v2.RandomResizedCrop(step.size, step.scale, step.ratio, method)]
        case RandomHorizontalFlip():
            made = [v2.RandomHorizontalFlip(step.p)]
        case RandomVerticalFlip():
            made = [v2.RandomVerticalFlip(step.p)]
        case ColorJitter():
            made = [v2.ColorJitter(step.brightness, step.contrast, step.saturation, step.hue)]
        case Normalize():
            scaled = v2.ToDtype(torch.float32, scale=True)
            made = [v2.ToImage(), scaled, v2.Normalize(list(step.mean), list(step.std))]
    return made


def _with_room(step: Crop, picture: Image) -> Image:
    step.check(picture.size)
    return picture
