"""What an operator gets to see: channels, the offsets of windows, statistics.

Most of it is shown by a sample of the values; all of them are looked at only where that shows
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.arch import Node
from zoo.arch.windows import Conv2d, MaxPool2d
from zoo.proof.sights import Places, places

VARIES = 1e-4
"""How far apart the values of a channel must be, in units of the node's largest. What a forward
pass may lose is 5e-6 of that: a smaller channel could be anything."""
EQUAL = 1e-7
"""How near two channels are to be taken for the same, in units of the node's largest: what float32
can tell apart."""
VALUES = 8
"""How many values a channel needs for statistics of a batch. Of two, it always makes plus and minus
one."""
OFF = 1e-2
"""How far off running statistics must be, in deviations, for it to show which were read."""
SAMPLE = 4
"""Rows and columns that are looked at first."""
WINS = 4
"""How often an offset of a max pool must hold the only maximum of a window."""


@dataclass(frozen=True, slots=True)
class Told:
    """A gap of some node: its kind and one line about it."""

    what: str
    detail: str


def faint(values: np.ndarray) -> Iterator[Told]:
    """Yield the channels that are constant over all images and pixels, or next to it.

    A channel without pixels has as few values as there are images, which may be alike by chance:
    such a channel is asked not to be zero, and all of them together to vary.
    """
    scale = float(max(values.max(), -values.min()))
    limit = VARIES * scale
    if np.prod(values.shape[2:]) > 1:
        channels, how = _not_varying(values, limit), "vary by less than"
    else:
        channels, how = np.flatnonzero(~(np.abs(values).max(0).ravel() > limit)), "are less than"
        if len(_not_varying(values, limit)) == values.shape[1]:
            yield Told("channel", "all images have the same values: which is which does not show")
    if len(channels):
        yield Told(
            "channel",
            f"{_count(channels, values.shape[1], 'channels')} {how} {VARIES:g} of the largest "
            "value",
        )


def alike(values: np.ndarray) -> Iterator[Told]:
    """Yield the channels that are the same as another: which is which does not show."""
    scale = float(max(values.max(), -values.min()))
    few = _sample(values)
    rows = np.moveaxis(few, 1, 0).reshape(few.shape[1], -1)
    order = np.argsort(rows @ np.cos(np.arange(rows.shape[1])), kind="stable")
    near = np.abs(np.diff(rows[order], axis=0)).max(1) <= EQUAL * scale
    same = []
    for a, b in zip(order[:-1][near], order[1:][near], strict=True):
        distance = np.abs(values[:, a] - values[:, b]).max()
        if distance <= EQUAL * scale and np.ptp(values[:, a]) > EQUAL * scale:
            same.append(max(a, b))
    if same:
        yield Told(
            "channel",
            f"{_count(np.sort(same), values.shape[1], 'channels')} are the same as another",
        )


def blind_offsets(op: Conv2d | MaxPool2d, x: np.ndarray, made: np.ndarray) -> Iterator[Told]:
    """Yield the offsets of a window that see nothing that varies, or never hold the maximum.

    Offsets that lie in the padding wherever the window stands are left out.
    """
    if op.kernel_size == (1, 1):
        return
    scale = float(max(x.max(), -x.min()))
    dead = set(_not_varying(x, VARIES * scale))
    each = isinstance(op, Conv2d) and op.groups == op.in_channels
    found = places(op, x.shape[2:], made.shape[2:])
    for offset, (inputs, _) in found.items() if isinstance(op, Conv2d) else ():
        seen = x[(..., *inputs)]
        channels = [c for c in _blank(seen, x if each else None, scale) if c not in dead]
        if channels:
            yield Told(
                "tap",
                f"tap {offset} sees nothing, or one and the same, in "
                f"{_count(np.array(channels), x.shape[1], 'channels')}",
            )
    if isinstance(op, MaxPool2d):
        yield from _never_largest(x, made, found)


def _never_largest(x: np.ndarray, made: np.ndarray, found: Places) -> Iterator[Told]:
    ties = np.zeros(made.shape, np.uint8)
    holds = {}
    for offset, (inputs, outputs) in found.items():
        holds[offset] = x[(..., *inputs)] == made[(..., *outputs)]
        ties[(..., *outputs)] += holds[offset]
    for offset, (_, outputs) in found.items():
        wins = int(np.count_nonzero(holds[offset] & (ties[(..., *outputs)] == 1)))
        if len(found) > 1 and wins < min(WINS, 1 + made.size // 64):
            yield Told(
                "window",
                f"offset {offset} holds the maximum of {wins} of {made.size:,} windows",
            )


def statistics(
    node: Node, weights: Mapping[str, np.ndarray], x: np.ndarray, training: bool
) -> Iterator[Told]:
    """Yield what the statistics of a batch norm do not show."""
    count = x.size // x.shape[1]
    if training and count < VALUES:
        yield Told("statistics", f"{count} values a channel, at least {VALUES} are needed")
    mean = np.einsum("nchw->c", x) / count
    variance = np.maximum(np.einsum("nchw,nchw->c", x, x) / count - mean**2, 0)
    old_mean, old_variance = (
        weights[f"{node.name}.{role}"].astype(np.float64)
        for role in ("running_mean", "running_var")
    )
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    told = {
        "running_mean is that of the batch": np.abs(old_mean - mean) / deviation,
        "running_var is that of the batch": np.abs(old_variance / deviation**2 - 1),
    }
    if not training:
        told |= {
            "running_mean is 0": np.abs(old_mean) / np.sqrt(np.abs(old_variance) + 1e-300),
            "running_var is 1": np.abs(old_variance - 1),
        }
    for detail, distances in told.items():
        if not distances.max() >= OFF:
            yield Told(
                "statistics",
                f"{detail}, or next to it, in all channels: which is read does not show",
            )


def _sample(values: np.ndarray) -> np.ndarray:
    """Return some rows and columns of a value."""
    if values.ndim < 4:
        return values
    steps = (max(1, n // SAMPLE) for n in values.shape[2:])
    rows, columns = (slice(step // 2, None, step) for step in steps)
    return values[:, :, rows, columns]


def _blank(seen: np.ndarray, own: np.ndarray | None, scale: float) -> np.ndarray:
    """Return the channels of which an offset sees next to nothing, or one and the same value.

    ``own`` are all values of the channels where each is summed up by itself: next to nothing is
    little beside its own size then.
    """
    channels = np.flatnonzero(~(np.abs(_sample(seen)).max((0, 2, 3)) > VARIES * scale))
    found = np.abs(seen[:, channels]).max((0, 2, 3), initial=0)
    limit = np.abs(own[:, channels]).max((0, 2, 3), initial=0) if own is not None else scale
    return np.union1d(
        channels[~(found > VARIES * limit)], _not_varying(seen, EQUAL * VARIES * scale)
    )


def _not_varying(values: np.ndarray, limit: float) -> np.ndarray:
    """Return the channels whose values lie no further apart than a limit."""
    axes = (0, *range(2, values.ndim))
    few = _sample(values)
    channels = np.flatnonzero(~(few.max(axes) - few.min(axes) > limit))
    if len(channels):
        rest = values[:, channels]
        channels = channels[~(rest.max(axes) - rest.min(axes) > limit)]
    return channels


def _count(channels: np.ndarray, of: int, what: str) -> str:
    """Return "3 of 24 channels (0, 5, 7)"."""
    named = ", ".join(map(str, channels[:3])) + (", …" if len(channels) > 3 else "")
    return f"{len(channels)} of {of} {what} ({named})"
