"""Batches by MindSpore's dataset package: its transforms on pictures, its threads, its batches.

Its transforms get Pillow's pictures: of arrays its resize does not smooth before it shrinks, and
the bytes would be others than everybody's. Two of its transforms are not used, because they do
something else: its resize to a shorter side is a pixel short for some sizes, and its color jitter
goes to hues and back, which rounds, where no change of hue is asked for.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from mindspore import dataset
from mindspore.dataset import vision

from zoo.errors import ZooError
from zoo.recipes import Normalize, Transform
from zoo.recipes.pictures import require_one_size, require_pipeline, seed_of
from zoo.recipes.transforms import (
    CenterCrop,
    ColorJitter,
    Crop,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    Size,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Operation = Callable[["Image"], "Image"]

_FILTERS = {
    "nearest": vision.Inter.NEAREST,
    "bilinear": vision.Inter.BILINEAR,
    "bicubic": vision.Inter.BICUBIC,
}
_BORDERS = {"constant": vision.Border.CONSTANT, "reflect": vision.Border.REFLECT}

_AHEAD = 2
"""Batches made before they are asked for; MindSpore's 16 of 224 × 224 pixels are a gigabyte."""

_DRAWING = threading.Lock()


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

    ``workers`` are threads, at least 1 and at most one a core, as MindSpore has it. Its transforms
    draw from the module ``random``, which threads share: they take turns, and it is put back after
    each image. A program that itself draws from it while batches are made gets in their way.
    Reading pictures, scaling values and pipelines that draw nothing need no turn.

    Raises:
        InputError: a picture cannot be read or is too small for a crop, or those of a batch have
            different sizes in the end.
        SpecError: the last transform is not `Normalize`, or a number is too small.
    """
    steps, last = require_pipeline(transforms, batch_size, workers)
    images = _Images(picture, steps, order, batch_size, seed, epoch)
    if not len(order):
        return (batch for batch in list[np.ndarray]())
    return _loaded(images, last, batch_size, min(max(workers, 1), os.cpu_count() or 1))


def _loaded(
    images: _Images, last: Normalize, batch_size: int, workers: int
) -> Generator[np.ndarray, None, None]:
    data = dataset.GeneratorDataset(
        range(len(images.order)), "image", shuffle=False, python_multiprocessing=False
    )
    data = data.map(images, num_parallel_workers=workers, python_multiprocessing=False)
    # The three operations that torchvision rounds after; `ToTensor` divides where it multiplies.
    scaled = [vision.Rescale(1 / 255, 0), vision.Normalize(last.mean, last.std), vision.HWC2CHW()]
    data = data.map(scaled, num_parallel_workers=1).batch(batch_size)
    with _prefetch(_AHEAD):
        iterator = data.create_tuple_iterator(num_epochs=1, output_numpy=True)
    try:
        while True:
            try:
                (batch,) = next(iterator)
            except StopIteration:
                return
            except RuntimeError:
                if images.error is None:
                    raise
                raise images.error from None  # MindSpore's has it in a page of text
            yield batch
    finally:
        iterator.stop()


@contextmanager
def _prefetch(size: int) -> Iterator[None]:
    """Let pipelines built meanwhile keep this many rows or batches in each step."""
    before = dataset.config.get_prefetch_size()
    dataset.config.set_prefetch_size(size)
    try:
        yield
    finally:
        dataset.config.set_prefetch_size(before)


class _Images:
    """From the place in the order to a transformed picture, uint8 (H, W, 3).

    Attributes:
        order: the numbers of the images.
        error: the first of ours that came up.
    """

    def __init__(
        self,
        picture: Callable[[int], Image],
        steps: Sequence[Transform],
        order: np.ndarray,
        batch_size: int,
        seed: int,
        epoch: int,
    ) -> None:
        self.order = order
        self.error: ZooError | None = None
        self._picture, self._batch_size = picture, batch_size
        self._seed, self._epoch = seed, epoch
        self._operations = [_operation(step) for step in steps]
        self._draws = any(step.draws for step in steps)
        self._first: dict[int, tuple[int, Size]] = {}

    def __call__(self, place: np.ndarray) -> np.ndarray:
        at = int(place)
        number = int(self.order[at])
        try:
            picture = self._picture(number)
            seed = seed_of(self._seed, self._epoch, number)
            with _seeded(seed) if self._draws else nullcontext():
                for operation in self._operations:
                    picture = operation(picture)
            mine = (number, picture.size)
            require_one_size([self._first.setdefault(at // self._batch_size, mine), mine])
        except ZooError as error:
            self.error = self.error or error
            raise
        return np.asarray(picture)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let ``random``, which MindSpore draws from, start from a seed, and put it back afterwards."""
    with _DRAWING:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def _operation(step: Transform) -> Operation:
    """Return MindSpore's transform that does what a step says."""
    made: Any
    match step:
        case Resize():
            made = partial(_resize, step)
        case CenterCrop():
            made = partial(_crop, step, vision.CenterCrop(step.size))
        case RandomCrop():
            margin = (step.padding,) * 4
            crop = vision.RandomCrop(step.size, margin, padding_mode=_BORDERS[step.mode])
            made = partial(_crop, step, crop)
        case RandomResizedCrop():
            method = _FILTERS[step.interpolation]
            made = vision.RandomResizedCrop(step.size, step.scale, step.ratio, method)
        case RandomHorizontalFlip():
            made = vision.RandomHorizontalFlip(step.p)
        case RandomVerticalFlip():
            made = vision.RandomVerticalFlip(step.p)
        case ColorJitter():
            made = _Jitter(step)
        case Normalize():
            raise AssertionError("it works on arrays, after all others")
    return cast(Operation, made)


def _resize(step: Resize, picture: Image) -> Image:
    width, height = step.output_size(picture.size)
    return cast("Image", vision.Resize((height, width), _FILTERS[step.interpolation])(picture))


def _crop(step: Crop, operation: Operation, picture: Image) -> Image:
    step.check(picture.size)
    return operation(picture)


class _Jitter:
    """MindSpore's four changes of color in a random order, those that are asked for."""

    def __init__(self, step: ColorJitter) -> None:
        self._changes = [
            (change, max(0.0, middle - width), middle + width)
            for change, middle, width in (
                (vision.AdjustBrightness, 1.0, step.brightness),
                (vision.AdjustContrast, 1.0, step.contrast),
                (vision.AdjustSaturation, 1.0, step.saturation),
            )
            if width
        ]
        if step.hue:
            self._changes.append((vision.AdjustHue, -step.hue, step.hue))

    def __call__(self, picture: Image) -> Image:
        for change, low, high in random.sample(self._changes, len(self._changes)):
            picture = change(random.uniform(low, high))(picture)
        return picture
