"""What is kept of the blocks that engines ran, and the ratios within rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from engines.base import PATIENCE

SLOW_BLOCKS = 2
"""What an engine runs whose calls take more seconds than PATIENCE."""
QUIET = 0.1
"""Cores that other programs may keep busy during a block; otherwise it is repeated."""

Round = tuple[int, int]
"""(launch, round in it)."""


@dataclass
class Record:
    """What is known of an engine so far."""

    parameters: int = 0
    seconds: dict[int, dict[Round, float]] = field(default_factory=dict)
    """Batch → round → median seconds of a call."""
    others: dict[int, dict[Round, float]] = field(default_factory=dict)
    """Batch → round → cores that other programs kept busy during the block."""
    errors: dict[int, float] = field(default_factory=dict)
    """Batch → the largest error of a logit as a part of the largest logit, where it is known."""
    waited: float = 0.0
    cpu_waiting: float = 0.0

    def add(self, batch: int, round_: Round, seconds: float, others: float) -> None:
        """Keep a block."""
        self.seconds.setdefault(batch, {})[round_] = seconds
        self.others.setdefault(batch, {})[round_] = others

    def is_quiet(self, batch: int, round_: Round) -> bool:
        """Return whether other programs left the processor alone during a block."""
        return self.others[batch][round_] <= QUIET

    def is_done(self, batch: int) -> bool:
        """Return whether the engine is so slow that it has run enough blocks."""
        times = self.seconds.get(batch, {}).values()
        # The fastest, because a fast engine may be slow for a while that others disturb.
        return len(times) >= SLOW_BLOCKS and min(times) > PATIENCE

    def typical(self, batch: int, wanted: Callable[[Round], bool] = lambda _: True) -> float:
        """Return the median over the rounds that are wanted, over the quiet of them if any are."""
        times = {round_: t for round_, t in self.seconds[batch].items() if wanted(round_)}
        quiet = [call for round_, call in times.items() if self.is_quiet(batch, round_)]
        return median(quiet or times.values())

    def summary(self) -> dict[str, Any]:
        """Return what goes into the results; its medians are over the quiet blocks, if any."""
        calls = {batch: self.typical(batch) for batch in self.seconds}
        return {
            "parameters": self.parameters,
            "milliseconds": {str(b): round(1e3 * call, 3) for b, call in calls.items()},
            "images_per_second": {str(b): round(b / call, 2) for b, call in calls.items()},
            "blocks": {
                str(batch): [
                    {
                        "launch": launch,
                        "round": i,
                        "milliseconds": round(1e3 * call, 3),
                        "cores_used_by_others": round(self.others[batch][launch, i], 3),
                    }
                    for (launch, i), call in times.items()
                ]
                for batch, times in self.seconds.items()
            },
            "cores_used_while_waiting": round(self.cpu_waiting / max(self.waited, 1e-9), 4),
        }


def ratio(
    ours: Record, theirs: Record, batch: int, wanted: Callable[[Round], bool] = lambda _: True
) -> dict[str, Any]:
    """Return how many times as fast as ``theirs`` ``ours`` is, within each round and in the median.

    Rounds that were disturbed are left out where there are others.

    Args:
        ours: an engine.
        theirs: another one, that ran in the same rounds.
        batch: images a call.
        wanted: which rounds to look at.
    """
    both = [i for i in ours.seconds[batch] if i in theirs.seconds[batch] and wanted(i)]
    quiet = [i for i in both if ours.is_quiet(batch, i) and theirs.is_quiet(batch, i)]
    ratios = [theirs.seconds[batch][i] / ours.seconds[batch][i] for i in quiet or both]
    return {
        "rounds": len(both),
        "quiet_rounds": len(quiet),
        "ratio": round(median(ratios), 4),
        "ratio_by_round": [round(ratio, 4) for ratio in ratios],
    }


def verdict(ratio: float, target: float) -> dict[str, Any]:
    """Return whether a ratio reaches what we want, and by how much."""
    return {
        "target": target,
        "passed": ratio >= target,
        "distance_percent": round(100 * (ratio / target - 1), 2),
    }
