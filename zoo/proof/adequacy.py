"""What the work of a proof can show, and what it can not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zoo.arch import Graph


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the work could not have shown."""

    node: str
    what: str
    detail: str
    training: bool

    def __str__(self) -> str:
        return f"{self.node} ({'training' if self.training else 'evaluation'}): {self.detail}"


@dataclass(frozen=True)
class Coverage:
    """Shares of the values in each region, and gaps."""

    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


def coverage(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    *,
    training: bool,
) -> Coverage:
    """Return nothing yet."""
    return Coverage()


def gradient_gaps(
    graph: Graph, frozen: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray]
) -> tuple[Gap, ...]:
    """Return nothing yet."""
    return ()
