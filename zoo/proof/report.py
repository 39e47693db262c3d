"""What a parity proof found: an object, a JSON file, a table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.proof.measure import first_beyond

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=False)
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
        )

    @property
    def passed(self) -> bool:
        """Whether everything is within what is admitted (NaN never is)."""
        return self.diverges_at is None and self.error <= self.tolerance


@dataclass(frozen=True)
class ParityReport:
    """The findings of one proof, and what it was made with.

    Attributes:
        model: the network's name.
        spec: its spec as JSON fields, with ``sha256``.
        level: the highest level that was asked for.
        seconds: label → level → time taken, compilation included.
        made_with: version of each package and the settings.
        findings: in the order of levels and backends.
    """

    model: str
    spec: Mapping[str, Any]
    level: str
    made_with: Mapping[str, Any]
    findings: tuple[Finding, ...]
    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every finding passed."""
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that did not pass."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def first_divergence(self) -> str | None:
        """The name at which the first failure begins (a node, a parameter, a step)."""
        for finding in self.failures:
            return finding.diverges_at or finding.measure
        return None

    def summary(self) -> str:
        """Return one line: equal, or where it first diverges."""
        backends = ", ".join(dict.fromkeys(finding.backend for finding in self.findings))
        if self.passed:
            return f"{self.model}: {backends} agree, {self.level} and below"
        first = self.failures[0]
        return (
            f"{self.model}: {first.backend} diverges at {self.first_divergence} "
            f"({first.level}, {first.measure}: error {first.error:.1e}, admitted "
            f"{first.tolerance:.1e})"
        )

    def __str__(self) -> str:
        lines = [self.summary()]
        for f in self.findings:
            mark = "ok" if f.passed else "FAILED"
            lines.append(
                f"  {f.level:17} {f.backend:16} {f.measure:26} {f.error:9.1e} <= {f.tolerance:8.1e}"
                f"  {mark}{f' at {f.diverges_at}' if f.diverges_at else ''}"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything as JSON, errors of every name included; infinity is written as text."""
        fields = dataclasses.asdict(self) | {"passed": self.passed, "summary": self.summary()}
        for row, finding in zip(fields["findings"], self.findings, strict=True):
            row["passed"] = finding.passed
        return json.dumps(_finite(fields), indent=1)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file."""
        Path(path).write_text(self.to_json() + "\n")

    def plot(self, path: str | Path) -> None:
        """Draw the error along the depth of the network as a PNG."""
        from zoo.proof.chart import draw

        draw(self, path)

    def table(self) -> Table:
        """Return the findings as a table for the terminal (`rich`)."""
        from zoo.proof.table import table

        return table(self)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
