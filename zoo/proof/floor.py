"""The noise floor: what float32 itself loses on the very work that is compared.

It is PyTorch's distance in float32 from PyTorch in float64, the largest of several runs: one from
the weights as they are, the others from weights with the last bit of every value moved up or down
at random. One run alone is a draw from a wide distribution (a ReLU's input that changes sign moves
a gradient by orders of magnitude), and a bound made of a lucky one would condemn honest arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zoo.passes import Weights

RUNS = 4
"""How many float32 runs the floor is the largest of."""


def last_bit_variants(weights: Weights, seed: int = 0) -> Iterator[Weights]:
    """Yield the weights, and copies whose values are off by one unit in the last place."""
    yield weights
    rng = np.random.default_rng(seed)
    for _ in range(RUNS - 1):
        yield {
            name: np.nextafter(
                array, rng.choice(np.array([-np.inf, np.inf], np.float32), array.shape)
            )
            for name, array in weights.items()
        }


def largest(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return for each name the largest error of all runs."""
    return {name: max(run[name] for run in runs) for name in runs[0]}
