"""What one measure of one candidate found, and what that is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from zoo.proof.measure import first_beyond
from zoo.proof.tolerances import UNINFORMATIVE

REFERENCE = "reference"
"""The label of findings about the reference itself."""

Status = Literal["passed", "failed", "not proven", "uninformative"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of one backend at one level.

    Attributes:
        level: of `zoo.proof.levels.LEVELS`.
        backend: the candidate's label.
        measure: what was compared.
        error: the number that is judged; of several names, the one nearest to what is admitted.
        tolerance: what is admitted for it.
        floor: what float32 itself loses there, where that is the yardstick.
        worst: the name (node, parameter, step) that ``error`` belongs to.
        diverges_at: the first name, in the order of computation, beyond what is admitted.
        errors: the error of each name.
        admitted: what is admitted for each name, where that differs from name to name.
        note: why what diverges could not even be compared (its dtype, its shape), if so.
        gap: the first thing that the work could not have shown, if any.
    """

    level: str
    backend: str
    measure: str
    error: float
    tolerance: float
    floor: float | None = None
    worst: str | None = None
    diverges_at: str | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    admitted: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    gap: str = ""

    @classmethod
    def of_each(
        cls,
        level: str,
        backend: str,
        measure: str,
        errors: Mapping[str, float],
        tolerance: float,
        *,
        whole: float | None = None,
        floor: float | None = None,
        gap: str = "",
    ) -> Finding:
        """Return the finding of named errors that are judged alike; it reports the largest."""
        worst = max(errors, key=lambda name: errors[name])
        return cls(
            level,
            backend,
            measure,
            errors[worst] if whole is None else whole,
            tolerance,
            floor=floor,
            worst=worst,
            diverges_at=first_beyond(errors, tolerance),
            errors=errors,
            gap=gap,
        )

    @classmethod
    def against(
        cls,
        level: str,
        backend: str,
        measure: str,
        errors: Mapping[str, float],
        admitted: Mapping[str, float],
        *,
        floors: Mapping[str, float] | None = None,
        faults: Mapping[str, str] | None = None,
        gap: str = "",
    ) -> Finding:
        """Return the finding of named errors that are judged one by one.

        What is reported is the error nearest to, or furthest beyond, what is admitted.
        """
        if not errors:
            return cls(level, backend, measure, 0.0, 0.0, gap=gap)
        worst = max(errors, key=lambda name: _share(errors[name], admitted[name]))
        diverges_at = first_beyond(errors, admitted)
        return cls(
            level,
            backend,
            measure,
            errors[worst],
            admitted[worst],
            floor=None if floors is None else floors[worst],
            worst=worst,
            diverges_at=diverges_at,
            errors=errors,
            admitted=admitted,
            note=(faults or {}).get(diverges_at or "", ""),
            gap=gap,
        )

    @property
    def power(self) -> float:
        """The largest mistake that could have gone unseen, relative to what was compared."""
        return max(self.admitted.values(), default=self.tolerance)

    @property
    def status(self) -> Status:
        """What the finding is worth.

        ``"failed"`` beyond what is admitted (NaN always is). Where it is not, ``"uninformative"``
        if a tenth of the quantity could be wrong and would not be seen, ``"not proven"`` if the
        work had nothing to see a mistake with; else ``"passed"``.
        """
        if self.diverges_at is not None or not self.error <= self.tolerance:
            return "failed"
        if self.power > UNINFORMATIVE:
            return "uninformative"
        return "not proven" if self.gap else "passed"

    @property
    def passed(self) -> bool:
        """Whether everything is within what is admitted, and a mistake would not have been."""
        return self.status == "passed"

    def told(self) -> str:
        """Return one line on what keeps the finding from passing."""
        where = f"{self.backend}, {self.level}, {self.measure}"
        if self.status == "failed":
            what = self.note or f"error {self.error:.1e}, admitted {self.tolerance:.1e}"
            at = self.diverges_at or self.measure
            return f"{self.backend} diverges at {at} ({self.level}, {self.measure}: {what})"
        if self.status == "uninformative":
            widest = max(self.admitted, key=lambda n: self.admitted[n], default=self.measure)
            return f"{where}: uninformative, {widest} could be off by {self.power:.0%}"
        return f"{where}: {self.gap}" if self.gap else f"{where}: passed"


def _share(error: float, admitted: float) -> float:
    """Return which share of what is admitted an error is."""
    if admitted:
        return error / admitted
    return 0.0 if error == 0 else math.inf
