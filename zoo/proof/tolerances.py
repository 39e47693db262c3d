"""What each measure admits.

``limit`` is absolute; ``floors`` multiplies the noise floor, which is measured each time on the
same work (see `zoo.proof.floor`). The larger of the two is admitted. What was measured over the
whole catalog stands in docs/parity.md, and ``benchmarks/parity.py`` measures it again.
"""

from __future__ import annotations

from dataclasses import dataclass

UNINFORMATIVE = 0.1
"""A finding that admits more of the quantity than this says nothing."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The larger of ``limit`` and ``floors`` times the noise floor is admitted."""

    limit: float
    floors: float = 0.0

    def admits(self, floor: float = 0.0) -> float:
        """Return the largest error that passes."""
        return max(self.limit, self.floors * floor)


# Values: the maximum of the difference over the maximum of the reference, for each node.
FORWARD = Tolerance(limit=5e-6)
# …or this many times what the errors of kernels add up to (`References.propagated`).
PROPAGATED = 2.0
BATCH_FORWARD = Tolerance(limit=5e-6, floors=2)
RUNNING_STATISTICS = Tolerance(limit=5e-6, floors=2)
# Gradients: relative L2, for the network and for each parameter.
FROZEN_GRADIENT = Tolerance(limit=1e-5, floors=2)
BATCH_GRADIENT = Tolerance(limit=1e-5, floors=2)
PARAMETER = Tolerance(limit=1e-4, floors=3)
# PyTorch's float64 gradients against differences of NumPy's loss, in units of a random direction.
SLOPE = 1e-5
# Training: relative error of losses; relative L2 of what the optimizer remembers of each parameter,
# of how far it moved all of them, and of how far it moved each.
LOSSES = Tolerance(limit=1e-5, floors=3)
TRAINED_STATISTICS = Tolerance(limit=1e-5, floors=3)
MEMORY_EACH = Tolerance(limit=1e-4, floors=4)
UPDATE = Tolerance(limit=1e-5, floors=3)
UPDATE_EACH = Tolerance(limit=1e-4, floors=4)
