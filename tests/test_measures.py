"""Loss, accuracies and confusions: against a computation by hand, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

import zoo
from zoo.measures import Tally, measure, softmax


def test_measures_by_hand():
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25], [0.3, 0.4, 0.3]])
    found = measure(logits + np.array([[3], [0], [-9], [500]]), np.array([0, 0, 1, 2]))
    assert found.images == 4
    assert found.loss == pytest.approx(-np.log([0.7, 0.1, 0.5, 0.3]).mean())
    assert (found.top1, found.top5) == (50, 100)
    assert found.confusion.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
    assert found.per_class.tolist() == [50, 100, 0]
    # Of equal logits the first is taken, wherever the places are counted.
    even = measure(np.zeros((7, 7)), np.arange(7))
    assert even.top1 == pytest.approx(100 / 7)
    assert even.top5 == pytest.approx(500 / 7)
    assert even.confusion[:, 0].tolist() == [1] * 7
    assert np.isnan(measure(np.eye(3)[:2], np.array([0, 1])).per_class[2])


def test_measures_beside_sklearn(rng):
    logits, labels = rng.normal(size=(500, 11)) * 3, rng.integers(0, 11, 500)
    logits[np.arange(500), labels] += 3
    found = measure(logits, labels)
    shares, classes = softmax(logits), np.arange(11)
    assert found.loss == pytest.approx(sklearn.metrics.log_loss(labels, shares, labels=classes))
    assert found.top1 == pytest.approx(
        100 * sklearn.metrics.accuracy_score(labels, logits.argmax(1))
    )
    assert found.top5 == pytest.approx(
        100 * sklearn.metrics.top_k_accuracy_score(labels, logits, k=5, labels=classes)
    )
    expected = sklearn.metrics.confusion_matrix(labels, logits.argmax(1), labels=classes)
    assert np.array_equal(found.confusion, expected)
    recall = sklearn.metrics.recall_score(labels, logits.argmax(1), labels=classes, average=None)
    assert found.per_class == pytest.approx(100 * recall)
    tally = Tally(11)
    for at in range(0, 500, 33):
        tally.add(logits[at : at + 33].astype(np.float32), labels[at : at + 33])
    assert tally.measures().loss == pytest.approx(found.loss, rel=1e-6)
    assert np.array_equal(tally.measures().confusion, found.confusion)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 4)), [0, 1], r"logits: shape \(=\(2, 4\)\) must be \(2, 3\)"),
        (np.zeros((2, 3)), [0, 3], r"labels \(from 0 to 3\) must be from 0 to 2"),
        (np.zeros((2, 3)), [-1, 0], r"labels \(from -1 to 0\) must be from 0 to 2"),
        (np.array([[0, np.nan, 1]]), [0], "logits must be finite"),
        (np.zeros((0, 3)), [], r"images \(=0\) must be at least 1"),
    ],
)
def test_what_can_not_be_measured(logits, labels, message):
    def count():
        tally = Tally(3)
        tally.add(logits, np.array(labels, np.int64))
        tally.measures()

    with pytest.raises(zoo.InputError, match=message):
        count()
