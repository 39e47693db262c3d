"""A trainer around another, which mistakes in training are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.arch import Graph
from zoo.passes import Weights


class Wrapped:
    """A trainer that does something else than it was asked to.

    Attributes:
        trainer: the real one.
        steps: how many it has taken.
    """

    def __init__(self, trainer: Any, graph: Graph) -> None:
        self.trainer, self.graph, self.steps = trainer, graph, 0
        self.start = trainer.weights()
        self.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def begin(self) -> None:
        """Do what is done before the first step."""

    def restore(self, weights: Weights, slots: dict[str, Weights], steps: int) -> None:
        """Go on from what another had."""
        self.trainer.restore(weights, slots, steps)
        self.steps = steps
        self.begin()

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        """Take a step as `change` would have it."""
        self.lr = lr
        images, targets, lr, momentum = self.change(images, targets, lr, momentum)
        found: tuple[float, np.ndarray] = self.trainer.step(
            images, targets, lr=lr, momentum=momentum
        )
        self.steps += 1
        self.finish()
        return found

    def change(self, images: Any, targets: Any, lr: float, momentum: Any) -> tuple[Any, ...]:
        """Return what the real trainer is given."""
        return images, targets, lr, momentum

    def finish(self) -> None:
        """Do what is done after a step."""

    def remember(self, factor: float, steps: int | None = None) -> None:
        """Scale what the optimizer remembers, and say how many steps it has taken."""
        slots = {
            slot: {name: factor * array for name, array in arrays.items()}
            for slot, arrays in self.trainer.slots().items()
        }
        self.trainer.restore(self.trainer.weights(), slots, self.steps if steps is None else steps)
