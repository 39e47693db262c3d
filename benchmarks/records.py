"""What is kept of the turns that engines took, and the ratios within rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from zoo.bench.engine import Turn, speeds, undisturbed

Round = tuple[int, int]
"""(launch, round in it)."""
Turns = dict[Round, Turn]


@dataclass
class Record:
    """What is known of an engine so far.

    Attributes:
        parameters: of its network.
        turns: batch → round → the turn.
    """

    parameters: int = 0
    turns: dict[int, Turns] = field(default_factory=dict)

    def add(self, batch: int, launch: int, turns: Mapping[int, Turn]) -> None:
        """Keep the turns of a launch."""
        held = self.turns.setdefault(batch, {})
        held.update({(launch, i): turn for i, turn in turns.items()})

    def tournament(self, batch: int) -> Turns:
        """Return the turns of the launch in which all engines take part, the first."""
        return {i: turn for i, turn in self.turns.get(batch, {}).items() if i[0] == 0}

    def finals(self, batch: int) -> Turns:
        """Return the turns of the later launches."""
        return {i: turn for i, turn in self.turns.get(batch, {}).items() if i[0] > 0}

    def summary(self) -> dict[str, Any]:
        """Return what goes into the results; its medians are over the quiet turns, if any."""
        calls = {batch: typical(turns) for batch, turns in self.turns.items()}
        waited = [t.account["waited"] for turns in self.turns.values() for t in turns.values()]
        slept, used = (sum(w[key] for w in waited) for key in ("seconds", "cpu_seconds"))
        return {
            "parameters": self.parameters,
            "milliseconds": {str(b): round(1e3 * call, 3) for b, call in calls.items()},
            "images_per_second": {str(b): round(b / call, 2) for b, call in calls.items()},
            "blocks": {
                str(batch): [
                    {
                        "launch": launch,
                        "round": i,
                        "milliseconds": round(1e3 * median(turn.times), 3),
                        "cores_used_by_others": turn.taken,
                    }
                    for (launch, i), turn in turns.items()
                ]
                for batch, turns in self.turns.items()
            },
            "cores_used_while_waiting": round(used / max(slept, 1e-9), 4),
        }


def typical(turns: Turns) -> float:
    """Return the median of the turns' medians, of the quiet ones if there are any."""
    return median(median(turn.times) for turn in undisturbed(turns))


def ratio(ours: Turns, theirs: Turns, target: float | None = None) -> dict[str, Any]:
    """Return how many times as fast an engine is as another, and whether that is what we want."""
    ratios, rounds, quiet = speeds(ours, theirs)
    found = {
        "rounds": rounds,
        "quiet_rounds": quiet,
        "ratio": round(median(ratios), 4),
        "ratio_by_round": [round(ratio, 4) for ratio in ratios],
    }
    if target is None:
        return found
    return found | {
        "target": target,
        "passed": found["ratio"] >= target,
        "distance_percent": round(100 * (found["ratio"] / target - 1), 2),
    }
