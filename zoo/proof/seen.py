"""What an operator gets to see: channels, the offsets of windows, statistics.

Most of it is shown by a sample of the values; all of them are looked at only where that shows
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.arch import Node
from zoo.arch.operators import Conv2d, MaxPool2d
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
WINS, LARGE = 4, 9
"""How often an offset of a max pool must hold the only maximum of a window, and the offsets of a
window up to which each of them is asked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """A gap of some node: its kind and one line about it."""

    what: str
    detail: str


def scale_of(values: np.ndarray) -> float:
    """Return the largest value, of those of a sample."""
    few = _sample(values)
    return float(max(few.max(), -few.min()))


def channels(values: np.ndarray) -> Iterator[Told]:
    """Yield the channels that are constant over all images and pixels or next to it, or the same.

    A channel without pixels has as few values as there are images, which may be alike by chance:
    such a channel is asked not to be zero, and all of them together to vary.
    """
    values = np.atleast_2d(values)
    rows = _rows(_sample(values))
    low, high = rows.min(1), rows.max(1)
    scale = float(max(high.max(), -low.min()))
    limit, how = VARIES * scale, "vary by less than"
    faint = _still(values, high - low > limit, limit)
    if np.prod(values.shape[2:]) == 1:
        if len(faint) == len(rows):
            yield Told("channel", "all images have the same values: which is which does not show")
        faint, how = np.flatnonzero(~(np.maximum(high, -low) > limit)), "are less than"
    if len(faint):
        yield Told("channel", f"{_count(faint, len(rows))} {how} {VARIES:g} of the largest value")
    # Those that are the same are neighbors in any order of the values.
    marks = rows @ np.cos(np.arange(rows.shape[1]))
    order = np.argsort(marks, kind="stable")
    near = np.flatnonzero(np.diff(marks[order]) <= EQUAL * scale * rows.shape[1])
    same = []
    for a, b in zip(order[near], order[near + 1], strict=True):
        first = values[:, a]
        apart = np.abs(first - values[:, b]).max()
        if apart <= EQUAL * scale and first.max() - first.min() > EQUAL * scale:
            same.append(max(a, b))
    if same:
        yield Told("channel", f"{_count(np.sort(same), len(rows))} are the same as another")


def blind_offsets(op: Conv2d | MaxPool2d, x: np.ndarray, made: np.ndarray) -> Iterator[Told]:
    """Yield the offsets of a window that see nothing that varies, or never hold the maximum.

    Offsets that lie in the padding wherever the window stands are left out.
    """
    if op.kernel_size == (1, 1):
        return
    found = places(op, x.shape[2:], made.shape[2:])
    if isinstance(op, MaxPool2d):
        yield from _never_largest(x, made, found)
        return
    rows = _rows(_sample(x))
    low, high = rows.min(1), rows.max(1)
    scale = float(max(high.max(), -low.min()))
    dead = _still(x, high - low > VARIES * scale, VARIES * scale)
    for offset, (inputs, _) in found.items():
        blank = np.setdiff1d(_blank(x[(..., *inputs)], x, op, scale), dead)
        if len(blank):
            yield Told(
                "tap",
                f"tap {offset} sees nothing, or one and the same, in {_count(blank, x.shape[1])}",
            )


def _never_largest(x: np.ndarray, made: np.ndarray, found: Places) -> Iterator[Told]:
    ties = np.zeros(made.shape, np.uint8)
    holds = {}
    for offset, (inputs, outputs) in found.items():
        holds[offset] = x[(..., *inputs)] == made[(..., *outputs)]
        ties[(..., *outputs)] += holds[offset]
    wins = {}
    for offset, (_, outputs) in found.items():
        alone = holds[offset] & (ties[(..., *outputs)] == 1)
        wins[offset] = int(np.count_nonzero(alone))
    # Of a large window it is enough that each row and each column wins: pixels within may hardly
    # ever, where padding before has made the edges of a map larger, and none is left out alone.
    by_name = {f"offset {offset}": count for offset, count in wins.items()}
    if len(wins) > LARGE:
        by_name = {
            f"{what} {i}": sum(count for offset, count in wins.items() if offset[axis] == i)
            for axis, what in enumerate(("row", "column"))
            for i in dict.fromkeys(offset[axis] for offset in wins)
        }
    for name, count in by_name.items():
        if len(wins) > 1 and count < min(WINS, 1 + made.size // 64):
            yield Told("window", f"{name} holds the maximum of {count} of {made.size:,} windows")


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
    steps = (-(-n // SAMPLE) for n in values.shape[2:])
    return values[(slice(None), slice(None), *(slice(step // 2, None, step) for step in steps))]


def _rows(values: np.ndarray) -> np.ndarray:
    """Return the values of each channel in a row."""
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


def _still(values: np.ndarray, moving: np.ndarray, limit: float) -> np.ndarray:
    """Return the channels that vary by no more than a limit, of those not known to."""
    unknown = np.flatnonzero(~moving)
    if not len(unknown):
        return unknown
    rows = _rows(values[:, unknown])
    still: np.ndarray = unknown[~(rows.max(1) - rows.min(1) > limit)]
    return still


def _blank(seen: np.ndarray, x: np.ndarray, conv: Conv2d, scale: float) -> np.ndarray:
    """Return the channels of which an offset sees next to nothing, or one and the same value.

    Where each channel is summed up by itself, next to nothing is little beside its own size.
    """
    rows = _rows(_sample(seen))
    low, high = rows.min(1), rows.max(1)
    known = (np.maximum(high, -low) > VARIES * scale) & (high - low > EQUAL * scale)
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return unknown
    rows = _rows(seen[:, unknown])
    sizes = np.abs(rows).max(1)
    own = conv.groups == conv.in_channels
    limits = VARIES * (np.abs(_rows(x[:, unknown])).max(1) if own else scale)
    same = rows.max(1) - rows.min(1) <= EQUAL * np.maximum(sizes, VARIES * limits)
    blank: np.ndarray = unknown[~(sizes > limits) | same]
    return blank


def _count(found: np.ndarray, of: int) -> str:
    """Return "3 of 24 channels (0, 5, 7)"."""
    named = ", ".join(map(str, found[:3])) + (", …" if len(found) > 3 else "")
    return f"{len(found)} of {of} channels ({named})"
