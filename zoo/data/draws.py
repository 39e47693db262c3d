"""Random numbers that depend on a seed, an epoch and an image's number, and on nothing else.

Philox counts instead of remembering (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3,
2011): its key is (seed, epoch), its counter holds the number of the image and what the numbers are
for. So an image draws the same wherever it stands in an epoch and whoever prepares it, and
`uniforms` computes for a whole batch at once what `generator_of` draws for each.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

_LOW = 0xFFFFFFFF
_WORD = 0xFFFFFFFFFFFFFFFF
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10


class Stream(IntEnum):
    """What numbers are for; those of one stream tell nothing about another's."""

    IMAGE = 0
    ORDER = 1
    MIX = 2


def generator_of(
    seed: int, epoch: int, number: int = 0, stream: Stream = Stream.IMAGE
) -> np.random.Generator:
    """Return the generator of an image (or a batch, by its number) in an epoch."""
    key = np.array([seed & _WORD, epoch & _WORD], np.uint64)
    counter = np.array([0, number, stream, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def uniforms(seed: int, epoch: int, numbers: np.ndarray, count: int) -> np.ndarray:
    """Return what ``generator_of(seed, epoch, number).random(count)`` does, for many numbers.

    Args:
        seed: as for `generator_of`.
        epoch: likewise.
        numbers: of images, integers (n,).
        count: how many are drawn for each.

    Returns:
        float64 (n, count), from 0 to less than 1.
    """
    blocks = -(-count // 4)
    # NumPy counts up before it makes a block of four, so that the first has counter 1.
    first = np.broadcast_to(np.arange(1, blocks + 1, dtype=np.uint64), (len(numbers), blocks))
    second = np.broadcast_to(numbers.astype(np.uint64)[:, None], first.shape)
    words = _philox((first, second), (seed & _WORD, epoch & _WORD))
    drawn = np.stack(words, axis=-1).reshape(len(numbers), blocks * 4)[:, :count]
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53)


def _philox(counter: tuple[np.ndarray, np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Return Philox4x64's four words for counters whose upper words are 0 (`Stream.IMAGE`)."""
    c0, c1 = counter
    c2 = c3 = np.zeros_like(c0)
    for turn in range(_ROUNDS):
        k0, k1 = (
            np.uint64((word + turn * step) & _WORD)
            for word, step in zip(key, _KEY_STEPS, strict=True)
        )
        high0, low0 = _product(c0, _MULTIPLIERS[0])
        high1, low1 = _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return [c0, c1, c2, c3]


def _product(words: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper and the lower 64 bits of a product, from halves of 32 bits."""
    mask, half = np.uint64(_LOW), np.uint64(32)
    low, high = words & mask, words >> half
    factor_low, factor_high = np.uint64(factor & _LOW), np.uint64(factor >> 32)
    middle = high * factor_low + ((low * factor_low) >> half)
    other = low * factor_high + (middle & mask)
    return high * factor_high + (middle >> half) + (other >> half), words * np.uint64(factor)
