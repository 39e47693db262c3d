"""How the values that an activation sees are made to lie in all of its regions.

Between and beyond its kinks an activation is another function. Where no value lies, a mistake does
not show: a hard swish without its upper clip is right up to 3.
"""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import numpy as np

from backends.numpy.operators import apply
from zoo.arch import Operator
from zoo.passes import Weights
from zoo.proof.levers import Lever
from zoo.proof.sights import Sight, least_seen

FEWEST, SHARE = 16, 1.5e-4
"""Values, and share of all, that are brought into each outer region at least. As few channels as
this takes are stretched, those whose input varies most: every rounding before is stretched too, and
of a channel that is next to dead there is little else."""
TAILS = (0.01, 0.08)
"""Share of a stretched channel's values beyond each of the outer kinks: the least and the most."""
MARGIN = 0.02
"""How far beyond an outer kink they begin, as a share of the distance between the kinks."""
FAINT = 1e-3
"""How small a channel of single values may be beside the largest."""
GOLDEN = 0.618
"""Multiples of it, without what is before the point, are spread evenly."""
FURTHEST = 1000.0
"""By how much a channel is stretched at most. What would take more varies by rounding alone."""
ALIVE = 0.4
"""Share of each channel that must lie where the activation is not constant: else nothing that comes
before it has a gradient, and nothing after it shows what it did."""
SINGLY = 0.3
"""The same of a channel without pixels: a single image of eight is always as far from the others as
batch norm lets it, whatever it is, and has no gradient either."""
CLIPPED = 0.3
"""Share of a channel that stays clipped where it is shifted for that."""
VISIBLE = 0.1
"""How far beyond a kink values must be to count here, in deviations."""
INSIDE = 0.8
"""How large single values may be where they are not to lie beyond a kink, in units of it."""
GROWTH = 8.0
"""By how much rows grow for that at most."""
CLEARANCE = 0.001
"""How far from a kink single values stay."""
OPEN = 0.1
"""How far above the lowest kink one image of such a channel lies at least."""
APART, STEEP = 1.0, 5.0
"""How far the images of such a channel are drawn apart, and by how much at most: every rounding
before is multiplied by it."""


def lively(op: Operator, x: np.ndarray, kinks: tuple[float, ...], found: list[Sight]) -> np.ndarray:
    """Return how far each channel must be shifted for enough of it to lie where ``op`` varies.

    Enough for the whole, and for each offset of the windows that read it.
    """
    by_channel = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    # What is cleared of a kink afterwards may move back by half of this.
    margin = VISIBLE * by_channel.std(1)
    alive = np.zeros(len(by_channel))
    regions = list(pairwise((-math.inf, *kinks, math.inf)))
    varying = [edges for edges in regions if _varies(op, *edges)]
    for low, high in varying:
        ends = (low + margin)[:, None], (high - margin)[:, None]
        alive += ((by_channel > ends[0]) & (by_channel < ends[1])).mean(1)
    moves = np.zeros(len(by_channel))
    clipped = regions[0] not in varying and regions[1] in varying
    single = math.prod(x.shape[2:]) == 1
    for channel in np.flatnonzero(alive < (SINGLY if single else ALIVE)):
        middle = float(np.quantile(by_channel[channel], CLIPPED))
        targets = [min(max(middle, low), high) for low, high in varying]
        if single and clipped:
            # The images hardly differ: near the kink, all would be next to nothing.
            targets = [kinks[0] + (0.1 + 0.3 * (GOLDEN * channel % 1)) * float(np.abs(x).max())]
        moves[channel] = min((target - middle for target in targets), key=abs)
    if clipped and not single:
        moves = np.maximum(moves, kinks[0] + margin - least_seen(x, found))
    return moves


def refill(x: np.ndarray, moves: np.ndarray, kink: float, found: list[Sight]) -> np.ndarray:
    """Return the moves with some channels shifted down again, if too little is left below a kink.

    So far as each offset of the windows that read them still sees something.
    """
    moved = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1) + moves[:, None]
    missing = max(FEWEST, SHARE * x.size) - np.count_nonzero(moved < kink)
    if missing <= 0:
        return moves
    moves = moves.copy()
    most = np.minimum(least_seen(x, found) + moves, np.quantile(moved, 1 - ALIVE, axis=1))
    room = (most - kink - VISIBLE * moved.std(1)).clip(0)
    gains = ((moved - room[:, None]) < kink).sum(1) - (moved < kink).sum(1)
    for channel in np.argsort(-gains, kind="stable"):
        if missing <= 0:
            break
        moves[channel] -= room[channel]
        missing -= gains[channel]
    return moves


def _varies(op: Operator, low: float, high: float) -> bool:
    """Return whether an activation is not constant between two kinks."""
    if op.parameters():  # slopes that are drawn
        return True
    start = low if math.isfinite(low) else high - 2
    end = high if math.isfinite(high) else low + 2
    low, high = apply(op, [start + (end - start) * np.array([0.25, 0.75])], {}, False)
    return bool(low != high)


def stretch(
    found: Weights,
    lever: Lever,
    x: np.ndarray,
    kinks: tuple[float, ...],
    deviations: np.ndarray | None,
    sighted: list[Sight],
    most: int | None = None,
) -> np.ndarray:
    """Stretch the strongest channels of a lever's own output over all regions, in place.

    Where there is one kink, shift them to it, if too few values lie on one side.

    Args:
        found: the weights; the lever's rows and bias are changed.
        lever: a direct one.
        x: its output, which the activation sees.
        kinks: of the activation.
        deviations: of what a batch norm read, by channel.
        sighted: the convolutions that read what the activation makes.
        most: how many channels at most; as many as it takes without it.

    Returns:
        The channels.
    """
    weight, bias = found[f"{lever.node}.weight"], found[f"{lever.node}.bias"]
    axes = (0, *range(2, x.ndim))
    values = x.size // x.shape[1]
    wanted = max(FEWEST, SHARE * x.size)
    if len(kinks) == 1:
        wanted = min(2 * wanted, x.size // 6) if values <= len(x) else wanted
        if min((x < kinks[0]).sum(), (x > kinks[0]).sum()) >= wanted:
            return np.zeros(0, int)
    # Shifted by a half, a channel has all regions of one kink.
    share = TAILS[1] if len(kinks) > 1 else 0.5
    count = min(math.ceil(wanted / share / values), most or x.shape[1])
    tail = min(max(TAILS[0], wanted / count / values), TAILS[1])
    low, high = np.quantile(x, (tail, 1 - tail), axis=axes)
    width = (kinks[-1] - kinks[0]) * (1 + 2 * MARGIN)
    strength, spread = high - low, x.std(axes)
    if deviations is not None:
        # Before it was normalized: the quantiles of a channel that hardly varies, or that one image
        # makes nearly all of, lie close together.
        strength = strength / spread.clip(1e-300) * deviations
    if len(kinks) > 1:
        # A channel of which some offset would see clipped values alone would be shifted again.
        clipped = low + MARGIN * (high - low) + VISIBLE * spread
        strength = np.where(least_seen(x, sighted) > clipped, strength, 1e-6 * strength)
    chosen: np.ndarray = np.argsort(-strength, kind="stable")[:count]
    chosen = chosen[(strength[chosen] > 0) & (high - low > width / FURTHEST)[chosen]]
    for channel in chosen:
        if len(kinks) == 1:
            factor, offset = 1.0, float(np.median(x[:, channel])) - kinks[0]
        else:
            factor = width / (high[channel] - low[channel])
            offset = (low[channel] + high[channel]) / 2 * factor - (kinks[0] + kinks[-1]) / 2
        before, old = weight[channel].copy(), float(bias[channel])
        weight[channel] = before * factor
        bias[channel] = old * factor - offset
        exact = float(np.vdot(weight[channel], before)) / float(np.vdot(before, before))
        x[:, channel] = (x[:, channel] - old) * exact + float(bias[channel])
    return chosen


def shift(found: Weights, lever: Lever, x: np.ndarray, moves: np.ndarray) -> None:
    """Move the channels of a lever's own output, in place."""
    bias = found[f"{lever.node}.bias"]
    before = bias.astype(np.float64)
    bias += moves.astype(np.float32)
    x += (bias - before).reshape(-1, *(1,) * (x.ndim - 2))


def place(
    found: Weights,
    node: str,
    seen: np.ndarray,
    x: np.ndarray,
    kinks: tuple[float, ...],
    barred: np.ndarray,
) -> None:
    """Bring single values into all regions by changing rows of weights, in place.

    There is no bias to shift and there are no pixels to stretch. But the mean of what is read,
    added to a row, shifts its values nearly alike. Of a chosen channel some images lie beyond an
    outer kink and at least half between the kinks, so that it is not dead: the channels whose
    images differ most are taken, to stay clear of the kink. Others are moved between the kinks
    where no image of theirs is, or where they are next to nothing.

    Args:
        found: the weights.
        node: a convolution or linear layer without bias, with one value a channel and image.
        seen: what it reads, (N, in_channels).
        x: what it makes, (N, out_channels).
        kinks: of the activation that reads it, two or more.
        barred: channels that are to stay between the kinks.
    """
    weight = found[f"{node}.weight"]
    rows = weight.reshape(len(weight), -1)
    # Gates that were further apart would only let more of the rounding before them through.
    growth = GROWTH if weight.ndim == 2 else 1.0
    _scale(rows, x, INSIDE * min(abs(kink) for kink in kinks if kink), growth)
    mean = seen.mean(0)
    way = mean / (mean @ mean or 1.0)
    along = seen @ way
    if len(x) < 2 or not along.any():
        return
    outer = (kinks[0], kinks[-1])
    outside = ~((x > outer[0]) & (x < outer[1])).any(0)
    faint = np.abs(x).max(0) < FAINT * np.abs(x).max()
    for channel in np.flatnonzero(outside | faint):
        target = outer[0] + (0.1 + 0.3 * (GOLDEN * channel % 1)) * (outer[1] - outer[0])
        far = (target - x[:, channel].mean()) / along.mean()
        rows[channel] += (far * way).astype(np.float32)
        x[:, channel] += far * along
    spread = np.ptp(x, axis=0)
    spread[barred] = 0
    left = list(np.argsort(-spread, kind="stable"))
    wanted = min(FEWEST, x.size // 5)
    # The lower side first: of what is clipped to nothing there, most depends on being drawn apart.
    for kink, apart in itertools.product(outer, (OPEN, 0.0)):
        filled = np.count_nonzero(x < kink if kink == outer[0] else x > kink)
        for turn, channel in enumerate(tuple(left)):
            if filled >= wanted:
                break
            # No two channels become the same.
            room = APART * (1 + (GOLDEN * turn) % 1)
            factor = min(max(room / (spread[channel] or 1.0), 1.0), STEEP)
            far = _across(factor * x[:, channel], along, kinks, kink, apart)
            if far is not None:
                rows[channel] = factor * rows[channel] + far * way
                x[:, channel] = factor * x[:, channel] + far * along
                beyond = x[:, channel] < kink if kink == outer[0] else x[:, channel] > kink
                filled += np.count_nonzero(beyond)
                left.remove(channel)


def _across(
    values: np.ndarray, along: np.ndarray, kinks: tuple[float, ...], kink: float, apart: float
) -> float | None:
    """Return how far values are to be moved for a kink to lie in the widest gap between them.

    At least half of them stay between the outer kinks, one by some distance ``apart`` from the
    lowest. None where that cannot be.
    """
    moving = along != 0
    crossings = np.sort((kink - values[moving]) / along[moving])
    widest = np.argsort(-np.diff(crossings), kind="stable")
    candidates = [crossings[gap : gap + 2].mean() for gap in widest]
    if not moving.all():
        # An image that is not moved stays where it is, and the others may all go beyond.
        candidates.append(crossings[-1 if kink > 0 else 0] * (1 + MARGIN))
    for far in candidates:
        placed = values + far * along
        inside = (placed > kinks[0]) & (placed < kinks[-1])
        clear = min(np.abs(placed - k).min() for k in kinks) > CLEARANCE
        enough = 2 * inside.sum() >= len(placed) or (inside.any() and not moving.all())
        if clear and enough and not inside.all() and placed[inside].max() > kinks[0] + apart:
            return float(far)
    return None


def _scale(rows: np.ndarray, x: np.ndarray, limit: float, growth: float) -> None:
    """Scale rows, and their values, so that these take up the room between the kinks.

    What is small beside the values near a kink would be lost in their rounding.
    """
    wanted = limit * (0.3 + 0.7 * (GOLDEN * np.arange(len(rows)) % 1))
    factors = np.minimum(wanted / np.abs(x).max(0).clip(1e-300), growth).astype(np.float32)
    rows *= factors[:, None]
    x *= factors.astype(np.float64)
