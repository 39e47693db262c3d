"""Batches by Pillow and NumPy: what feeds both frameworks the same images, and their targets."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Images
from zoo.data.draws import Stream, generator_of
from zoo.data.gather import can_gather, gather
from zoo.data.transforms import normalize, pixels
from zoo.errors import InputError
from zoo.recipes.definition import Mix
from zoo.recipes.pictures import require_one_size, require_pipeline
from zoo.recipes.transforms import Normalize, Transform, require_share


def epoch_order(count: int, seed: int, epoch: int, *, shuffle: bool) -> np.ndarray:
    """Return the numbers of the images in the order of an epoch, int64 (count,)."""
    if not shuffle:
        return np.arange(count, dtype=np.int64)
    return generator_of(seed, epoch, stream=Stream.ORDER).permutation(count).astype(np.int64)


def batches(
    images: Images,
    transforms: Sequence[Transform],
    order: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    workers: int,
) -> Generator[np.ndarray, None, None]:
    """Return batches of transformed images.

    What is drawn for an image depends on the seed, the epoch and the image's number alone.

    Args:
        images: the pictures. `ArrayImages` are cropped and flipped a batch at a time.
        transforms: what is done to them; the last is `Normalize`.
        order: the numbers of the images, int64 (n,), in order.
        batch_size: images a batch; the last may have fewer.
        seed: of what is drawn.
        epoch: likewise.
        workers: threads that prepare batches while the last ones are used; with 0 each is prepared
            when it is asked for. Closing the iterator stops them.

    Yields:
        float32 (batch, 3, H, W).

    Raises:
        InputError: a picture cannot be read or is too small for a crop, or those of a batch have
            different sizes in the end.
        SpecError: the last transform is not `Normalize`, or a number is too small.
    """
    steps, last = require_pipeline(transforms, batch_size, workers)
    parts = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    maker = _Maker(images, steps, last, seed, epoch)
    return _ahead(maker, parts, workers) if workers else (maker(part) for part in parts)


class _Maker:
    """Makes a batch from the numbers of its images, until it is told to stop."""

    def __init__(
        self,
        images: Images,
        steps: Sequence[Transform],
        last: Normalize,
        seed: int,
        epoch: int,
    ) -> None:
        self._images, self._steps, self._last = images, steps, last
        self._seed, self._epoch = seed, epoch
        self._array: np.ndarray | None = None
        if isinstance(images, ArrayImages) and can_gather(self._steps):
            self._array = images.pixels
        self.stop = threading.Event()

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        if self._array is not None:
            made = gather(self._array, numbers, self._steps, seed=self._seed, epoch=self._epoch)
            return normalize(made, self._last)
        found = [self._one(number) for number in numbers.tolist() if not self.stop.is_set()]
        if self.stop.is_set():  # nobody waits for it
            return np.empty(0, np.float32)
        sizes = [(one.shape[1], one.shape[0]) for one in found]
        require_one_size(list(zip(numbers.tolist(), sizes, strict=True)))
        return normalize(np.stack(found), self._last)

    def _one(self, number: int) -> np.ndarray:
        generator = generator_of(self._seed, self._epoch, number)
        return pixels(self._images.picture(number), self._steps, generator)


def _ahead(
    maker: _Maker, parts: Sequence[np.ndarray], workers: int
) -> Generator[np.ndarray, None, None]:
    """Yield the batches in order while threads make the next ones: one each, and one to spare."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="zoo-batches")
    waiting: deque[Future[np.ndarray]] = deque()
    rest = iter(parts)
    try:
        for part in rest:
            waiting.append(pool.submit(maker, part))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        maker.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def targets_of(labels: np.ndarray, num_classes: int, label_smoothing: float = 0.0) -> np.ndarray:
    """Return the probability of each class: integers (n,) -> float32 (n, num_classes).

    A share of ``label_smoothing`` is spread over all classes, the right one among them, as
    ``torch.nn.CrossEntropyLoss`` does.

    Raises:
        InputError: a label is none of the classes.
        SpecError: the share is none.
    """
    require_share("label_smoothing", label_smoothing)
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise InputError(
            f"labels (={labels.min()} to {labels.max()}) must be from 0 to {num_classes - 1}"
        )
    targets = np.full((len(labels), num_classes), label_smoothing / num_classes, np.float32)
    targets[np.arange(len(labels)), labels] = 1 - label_smoothing + label_smoothing / num_classes
    return targets


def mix_batch(
    images: np.ndarray, targets: np.ndarray, mix: Mix, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch whose images are blended with those of the batch read backwards, as timm does.

    Args:
        images: float32 (n, C, H, W); is left as it is.
        targets: float32 (n, num_classes); likewise.
        mix: how.
        generator: what the share, the rectangle and whether to mix at all are drawn from:
            `zoo.data.draws.generator_of` a step of `Stream.MIX`.

    Returns:
        Images and targets of the same shapes. Of cutmix's targets the share is that of the pixels
        in fact pasted, which is less where the rectangle leaves the image.
    """
    kinds = [name for name in ("mixup", "cutmix") if getattr(mix, name) > 0]
    if not kinds or generator.random() >= mix.p:
        return images, targets
    kind = kinds[int(generator.random() * len(kinds))]
    alpha = getattr(mix, kind)
    keep = float(generator.beta(alpha, alpha))
    if kind == "mixup":
        return _blend(images, keep), _blend(targets, keep)
    height, width = images.shape[2:]
    top, bottom = _side(height, keep, generator)
    left, right = _side(width, keep, generator)
    mixed = images.copy()
    mixed[:, :, top:bottom, left:right] = images[::-1, :, top:bottom, left:right]
    pasted = (bottom - top) * (right - left) / (height * width)
    return mixed, _blend(targets, 1 - pasted)


def _blend(values: np.ndarray, keep: float) -> np.ndarray:
    return values * np.float32(keep) + values[::-1] * np.float32(1 - keep)


def _side(length: int, keep: float, generator: np.random.Generator) -> tuple[int, int]:
    """Return where a rectangle of the area 1 - keep begins and ends, cut at the image's edge."""
    half = int(math.sqrt(1 - keep) * length) // 2
    middle = int(generator.random() * length)
    return max(middle - half, 0), min(middle + half, length)
