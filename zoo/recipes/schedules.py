"""Learning rate and momentum at each step, as functions of the step's number alone.

A run that goes on in another process, or in another framework, needs no state of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from zoo.errors import SpecError
from zoo.recipes.part import Part
from zoo.recipes.transforms import require_share


@dataclass(frozen=True, kw_only=True)
class Warmup(Part, ABC):
    """Base: the learning rate grows in a straight line over the first steps.

    Attributes:
        warmup_epochs: how long it grows.
    """

    warmup_epochs: float = 0.0

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Return the share of the optimizer's learning rate at a step after the warm-up."""

    def momentum(self, step: int, steps: int) -> float | None:
        """Return the momentum at a step, or None where it is the optimizer's own."""
        return None


@dataclass(frozen=True, kw_only=True)
class Constant(Warmup):
    """The optimizer's learning rate throughout."""

    name: Literal["constant"] = "constant"

    def factor(self, step: int, steps: int) -> float:
        """As the base."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Linear(Warmup):
    """From the optimizer's learning rate to ``final`` times it, in a straight line."""

    name: Literal["linear"] = "linear"
    final: float = 0.0

    def __post_init__(self) -> None:
        require_share("linear.final", self.final)

    def factor(self, step: int, steps: int) -> float:
        """As the base; PyTorch's LinearLR."""
        return 1 + (self.final - 1) * step / steps


@dataclass(frozen=True, kw_only=True)
class Cosine(Warmup):
    """From the optimizer's learning rate to ``final`` times it, along half a cosine."""

    name: Literal["cosine"] = "cosine"
    final: float = 0.0

    def __post_init__(self) -> None:
        require_share("cosine.final", self.final)

    def factor(self, step: int, steps: int) -> float:
        """As the base; PyTorch's CosineAnnealingLR."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True, kw_only=True)
class OneCycle(Warmup):
    """PyTorch's OneCycleLR: up to the optimizer's learning rate and down to next to nothing.

    Smith and Topin, Super-Convergence, 2018; the values by default are PyTorch's.

    Attributes:
        rise: share of the steps in which the learning rate rises.
        start: the first learning rate, as a share of the optimizer's.
        end: the last.
        momenta: least and greatest momentum (Adam's first beta), which moves against the learning
            rate; None leaves the optimizer's own.
        shape: of rise and fall.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 25e4
    momenta: tuple[float, float] | None = (0.85, 0.95)
    shape: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        for field in ("rise", "start", "end"):
            require_share(f"one_cycle.{field}", getattr(self, field))
        if self.warmup_epochs:
            raise SpecError("one_cycle.warmup_epochs must be 0: it rises by itself")

    def factor(self, step: int, steps: int) -> float:
        """As the base."""
        return self._cycle(step, steps, self.start, 1.0, self.end)

    def momentum(self, step: int, steps: int) -> float | None:
        """As the base."""
        if self.momenta is None:
            return None
        low, high = self.momenta
        return self._cycle(step, steps, high, low, high)

    def _cycle(self, step: int, steps: int, first: float, peak: float, last: float) -> float:
        top = max(self.rise * steps - 1, 0.0)
        if step <= top:
            return self._between(first, peak, step / top if top else 1.0)
        return self._between(peak, last, (step - top) / max(steps - 1 - top, 1.0))

    def _between(self, start: float, end: float, share: float) -> float:
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return start + (end - start) * share


Schedule = Annotated[Constant | Linear | Cosine | OneCycle, Field(discriminator="name")]


def values_at(
    schedule: Warmup, step: int, steps: int, steps_per_epoch: int
) -> tuple[float, float | None]:
    """Return (the learning rate's factor, the momentum or None for the optimizer's own).

    Args:
        schedule: which.
        step: from 0.
        steps: of the whole run.
        steps_per_epoch: what warm-up is counted in.
    """
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), steps - 1)
    after, left = max(step - warmup, 0), steps - warmup
    momentum = schedule.momentum(after, left)
    if step < warmup:
        return (step + 1) / (warmup + 1) * schedule.factor(0, left), momentum
    return schedule.factor(after, left), momentum
