"""What a network of 8 bits costs and gains beside the float32 one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from zoo.measures import relative_l2

Network = Callable[[np.ndarray], np.ndarray]

ROUNDS = 15
BLOCK_SECONDS = 0.05
"""Of measuring one network, before it is the other one's turn."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How much two networks say the same of the same images.

    Attributes:
        top1: share of the images of which they name the same class.
        top5: share of the five best classes of the first that are among the second's.
        relative_l2: |second - first| / |first| of all logits.
        cosine: of the logits of an image, the mean over the images.
    """

    top1: float
    top5: float
    relative_l2: float
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The shares of images whose class is the best, and is among the best five."""

    top1: float
    top5: float


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds for one image, medians, and how many times as fast the second network is."""

    float32: float
    int8: float
    speed: float
    speed_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """A float32 network and one of 8 bits side by side.

    Attributes:
        agreement: of the one of 8 bits with the float32 one.
        float32_accuracy, int8_accuracy: None where the classes of the images are not known.
        float32_bytes, int8_bytes: size of the file.
        latency: of one image, in ONNX Runtime on this machine.
    """

    agreement: Fidelity
    float32_accuracy: Accuracy | None
    int8_accuracy: Accuracy | None
    float32_bytes: int
    int8_bytes: int
    latency: Latency


def compare(
    float32: Network,
    int8: Network,
    batches: Iterable[np.ndarray],
    classes: Sequence[int] | None,
    *,
    float32_bytes: int,
    int8_bytes: int,
) -> Costs:
    """Run both networks on images, and compare what they say.

    Args:
        float32: a network.
        int8: the one of 8 bits.
        batches: the images, float32 (N, C, H, W) each.
        classes: of all images, if they are known.
        float32_bytes: size of the network's file.
        int8_bytes: likewise.
    """
    rows, image = [], None
    for batch in batches:
        rows.append((float32(batch), int8(batch)))
        image = batch[:1]
    assert image is not None
    before, after = (np.concatenate(logits) for logits in zip(*rows, strict=True))
    return Costs(
        agreement=agreement(before, after),
        float32_accuracy=None if classes is None else accuracy(before, classes),
        int8_accuracy=None if classes is None else accuracy(after, classes),
        float32_bytes=float32_bytes,
        int8_bytes=int8_bytes,
        latency=latency(float32, int8, image),
    )


def agreement(first: np.ndarray, second: np.ndarray) -> Fidelity:
    """Return how much two networks' logits (N, classes) say the same."""
    best, others = _best(first), _best(second)
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(best, others, strict=True)]
    products = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return Fidelity(
        top1=float((best[:, 0] == others[:, 0]).mean()),
        top5=float(np.mean(shared)),
        relative_l2=relative_l2(second, first),
        cosine=float(((first * second).sum(1) / products).mean()),
    )


def accuracy(logits: np.ndarray, classes: Sequence[int]) -> Accuracy:
    """Return how often logits (N, classes) are right."""
    hits = _best(logits) == np.array(classes)[:, None]
    return Accuracy(top1=float(hits[:, 0].mean()), top5=float(hits.any(1).mean()))


def _best(logits: np.ndarray) -> np.ndarray:
    return np.argsort(-logits, axis=1, kind="stable")[:, :5]


def latency(float32: Network, int8: Network, image: np.ndarray) -> Latency:
    """Measure both networks in turns, so that what slows the machine down slows both."""
    float32(image), int8(image)
    rounds = [(_block(float32, image), _block(int8, image)) for _ in range(ROUNDS)]
    speeds = [a / b for a, b in rounds]
    return Latency(
        float32=median(a for a, _ in rounds),
        int8=median(b for _, b in rounds),
        speed=median(speeds),
        speed_range=(min(speeds), max(speeds)),
    )


def _block(network: Network, image: np.ndarray) -> float:
    times: list[float] = []
    while sum(times) < BLOCK_SECONDS:
        begun = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - begun)
    return median(times)
