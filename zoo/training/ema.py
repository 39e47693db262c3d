"""The moving mean of a network's weights."""

from __future__ import annotations

import numpy as np

from weights.canonical import Weights


def update_ema(mean: Weights, weights: Weights, decay: float, step: int) -> None:
    """Move the mean towards the weights after a step, in place.

    At first the decay is (1 + step) / (10 + step), so that the initial weights are forgotten soon
    (TensorFlow's ExponentialMovingAverage). Running statistics are averaged as well, as timm does.
    """
    share = np.float32(1 - min(decay, (1 + step) / (10 + step)))
    for name, array in weights.items():
        mean[name] += (array - mean[name]) * share
