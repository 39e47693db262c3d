"""What was measured of one engine at one batch size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FLOAT32 = 1e-4
"""The error of a network in float32 stays far below; one above is a fault or a lower precision."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine and the form of the network that it runs."""

    backend: str
    optimized: bool

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.backend} (optimized)" if self.optimized else self.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One engine at one batch size. All times are seconds, all sizes bytes.

    Attributes:
        form: the engine.
        batch: images a call.
        seconds: median of the calls.
        quartiles: of the calls, the first and the third.
        calls: how many there were.
        rounds: round → median of the calls in it.
        taken: round → cores that other programs took from the engine. Rounds where that was more
            than `zoo.bench.engine.QUIET` count only if there are no others.
        speed: how many times as fast as the first engine, the median over the rounds.
        speed_range: the smallest and the largest of the rounds.
        peak_bytes: largest resident set of the process, from its start.
        import_seconds: importing the framework.
        build_seconds: building the network with its weights, optimizing included.
        first_run_seconds: the first call, in which some engines compile.
        error: max|a - ref| / max|ref| of the logits, against NumPy in float64.
    """

    form: Contender
    batch: int
    seconds: float
    quartiles: tuple[float, float]
    calls: int
    rounds: Mapping[int, float]
    taken: Mapping[int, float]
    speed: float
    speed_range: tuple[float, float]
    peak_bytes: int
    import_seconds: float
    build_seconds: float
    first_run_seconds: float
    error: float

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.batch / self.seconds

    @property
    def first_call_seconds(self) -> float:
        """Build, compile and first run."""
        return self.build_seconds + self.first_run_seconds


@dataclass(frozen=True, slots=True)
class Failure:
    """An engine that could not be measured, and why."""

    form: Contender
    batch: int
    reason: str


def significant(value: float) -> str:
    """Return three digits of a number, and all of those before its point."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
