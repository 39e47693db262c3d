"""Images through a network, batch by batch, the forward passes timed apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from zoo.data import Images
from zoo.data.batches import batches
from zoo.errors import WeightsError
from zoo.evaluation.inputs import uniform
from zoo.evaluation.network import Network

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, images done, images in all)."""


@dataclass(frozen=True, eq=False)
class InferenceResult:
    """What a network made of images, and how long it took; see `Evaluation`."""

    logits: np.ndarray
    first_call_seconds: float
    seconds: float
    timed_images: int


def run(
    network: Network,
    images: Images,
    order: np.ndarray,
    batch_size: int,
    workers: int,
    progress: Progress | None = None,
) -> InferenceResult:
    """Return the logits of images, in an order.

    All batches have one size, the last one being filled up with zeros: some run-times compile for
    each size.

    Raises:
        InputError: an image cannot be read, or has another size than the others.
        WeightsError: the network has no finite logits for an image.
    """
    steps = network.pipeline.transforms
    size = network.batch or min(batch_size, len(order))
    prepared = batches(
        uniform(images, steps, int(order[0])),
        steps,
        order,
        batch_size=size,
        seed=0,
        epoch=0,
        workers=workers,
    )
    rows: list[np.ndarray] = []
    seconds: list[float] = []
    done = 0
    call, batch = None, np.empty(0)
    # Closed whatever happens: its threads would live as long as the traceback of an error.
    with closing(prepared):
        for fresh in prepared:
            batch = np.zeros((size, *fresh.shape[1:]), np.float32)
            batch[: len(fresh)] = network.pipeline.ordered(fresh)
            begun = time.perf_counter()
            call = call or network.start()
            logits = call(batch)
            seconds.append(time.perf_counter() - begun)
            rows.append(np.array(logits[: len(fresh)], np.float32))
            bad = np.flatnonzero(~np.isfinite(rows[-1]).all(1))
            if len(bad):
                name = images.name(int(order[done + bad[0]]))
                raise WeightsError(f"{network.name}: the logits of {name} are not finite numbers")
            done += len(fresh)
            if progress is not None:
                progress(f"{network.backend}: images", done, len(order))
    if len(seconds) == 1 and call is not None:
        begun = time.perf_counter()
        call(batch)
        return InferenceResult(rows[0], seconds[0], time.perf_counter() - begun, len(order))
    return InferenceResult(np.concatenate(rows), seconds[0], sum(seconds[1:]), len(order) - size)
