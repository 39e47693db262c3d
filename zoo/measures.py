"""How well logits name the classes of images: float64, by NumPy, whoever computed them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError

BEST = 5
"""Of top-5."""
BLOCK = 4096
"""Images whose logits are taken in float64 at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """How well a network names the classes of images.

    Attributes:
        images: how many there were.
        loss: mean cross-entropy, in nats, without label smoothing.
        top1: percent of the images whose class has the largest logit. Of equal ones the first is
            the largest, as `argmax` has it.
        top5: percent of the images whose class is among the five largest.
        confusion: int64 (classes, classes): how many images of the row's class were taken for the
            column's.
    """

    images: int
    loss: float
    top1: float
    top5: float
    confusion: np.ndarray

    @property
    def per_class(self) -> np.ndarray:
        """Percent of each class's images that are named right, float64; NaN where it has none."""
        counts = self.confusion.sum(1)
        right = 100.0 * self.confusion.diagonal()
        return np.divide(right, counts, out=np.full(len(counts), np.nan), where=counts > 0)


class Tally:
    """Measures of images that come in batches."""

    def __init__(self, num_classes: int) -> None:
        self._loss = 0.0
        self._best = np.zeros(BEST, np.int64)  # images whose class is so far from the first place
        self._confusion = np.zeros((num_classes, num_classes), np.int64)

    def add(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Count the images of a batch.

        Args:
            logits: (N, classes), finite.
            labels: the class of each, whole numbers (N,).

        Raises:
            InputError: the shapes do not fit, a label is no class, or a logit is not finite.
        """
        classes = len(self._confusion)
        if logits.shape != (len(labels), classes):
            raise InputError(
                f"logits: shape (={logits.shape}) must be {(len(labels), classes)}: a row an "
                "image, a column a class"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise InputError(
                f"labels (from {labels.min()} to {labels.max()}) must be from 0 to {classes - 1}"
            )
        if not np.isfinite(logits).all():
            raise InputError("logits must be finite: NaN and infinity name no class")
        values = logits.astype(np.float64)
        own = values[np.arange(len(labels)), labels][:, None]
        top = values.max(1, keepdims=True)  # subtracted, so that no exponential overflows
        sums = top + np.log(np.exp(values - top).sum(1, keepdims=True))
        self._loss += float((sums - own).sum())
        before = np.arange(classes) < labels[:, None]
        places = ((values > own) | ((values == own) & before)).sum(1)
        self._best += np.bincount(places[places < BEST], minlength=BEST)
        np.add.at(self._confusion, (labels, values.argmax(1)), 1)

    def sums(self) -> np.ndarray:
        """Return loss, images that are right, those right among five, and images, float64 (4,).

        What several processes have counted adds up.
        """
        return np.array(
            [self._loss, self._best[0], self._best.sum(), self._confusion.sum()], np.float64
        )

    def measures(self) -> Measures:
        """Return the measures of all that was added.

        Raises:
            InputError: nothing was.
        """
        images = int(self._confusion.sum())
        if not images:
            raise InputError("images (=0) must be at least 1: there is nothing to measure")
        return Measures(
            images=images,
            loss=self._loss / images,
            top1=100.0 * float(self._best[0]) / images,
            top5=100.0 * float(self._best.sum()) / images,
            confusion=self._confusion.copy(),
        )


def measure(logits: np.ndarray, labels: np.ndarray) -> Measures:
    """Return the measures of logits (N, classes) and labels (N,) as a whole.

    Raises:
        InputError: as `Tally`.

    Example:
        >>> measure(np.array([[2.0, 1.0], [3.0, 1.0]]), np.array([0, 1])).top1
        50.0
    """
    tally = Tally(logits.shape[1])
    for at in range(0, len(labels), BLOCK):
        tally.add(logits[at : at + BLOCK], labels[at : at + BLOCK])
    return tally.measures()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probability of each class, float64, the rows' sums 1."""
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def relative_l2(found: np.ndarray, exact: np.ndarray) -> float:
    """Return |found - exact| / |exact| over all values."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
