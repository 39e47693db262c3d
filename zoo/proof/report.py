"""What a parity proof found: an object, a JSON file, a table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.output import Tabled, write
from zoo.proof.adequacy import Coverage
from zoo.proof.measure import first_beyond
from zoo.proof.tolerances import UNINFORMATIVE

if TYPE_CHECKING:
    from rich.table import Table

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


@dataclass(frozen=True, repr=False)
class ParityReport(Tabled):
    """The findings of one proof, and what it was made with.

    Attributes:
        model: the network's name.
        spec: its spec as JSON fields, with ``sha256``.
        level: the highest level that was asked for.
        seconds: label → level → time taken, compilation included.
        coverage: ``"evaluation"`` and ``"training"`` → what the weights and images could show there
            (the share of values in each region of each activation), and what they could not.
        made_with: version of each package and the settings.
        findings: in the order of levels and backends.
    """

    model: str
    spec: Mapping[str, Any]
    level: str
    made_with: Mapping[str, Any]
    findings: tuple[Finding, ...]
    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every finding passed: none failed, and each could have."""
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that diverge."""
        return tuple(finding for finding in self.findings if finding.status == "failed")

    @property
    def unproven(self) -> tuple[Finding, ...]:
        """The findings that do not diverge, but on work that could not have shown a mistake."""
        return tuple(f for f in self.findings if f.status in ("not proven", "uninformative"))

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the work could not have shown, in both modes."""
        return tuple(dict.fromkeys(str(gap) for c in self.coverage.values() for gap in c.gaps))

    @property
    def first_divergence(self) -> str | None:
        """The name at which the first failure begins (a node, a parameter, a step)."""
        for finding in self.failures:
            return finding.diverges_at or finding.measure
        return None

    @property
    def labels(self) -> tuple[str, ...]:
        """The candidates, in order."""
        return tuple(dict.fromkeys(f.backend for f in self.findings if f.backend != REFERENCE))

    def summary(self) -> str:
        """Return one line: equal, or where it first diverges."""
        backends = ", ".join(self.labels)
        if self.passed:
            return f"{self.model}: {backends} agree, {self.level} and below"
        if self.failures:
            return f"{self.model}: {self.failures[0].told()}"
        more = f" (and {len(self.gaps) - 1} more)" if len(self.gaps) > 1 else ""
        return f"{self.model}: not proven: {self.unproven[0].told()}{more}"

    def __str__(self) -> str:
        lines = [self.summary()]
        for f in self.findings:
            mark = {"passed": "ok", "failed": "FAILED"}.get(f.status, f.status.upper())
            lines.append(
                f"  {f.level:17} {f.backend:16} {f.measure:26} {f.error:9.1e} <= {f.tolerance:8.1e}"
                f"  {mark}{f' at {f.diverges_at}' if f.diverges_at else ''}"
            )
        lines += [f"  not shown: {gap}" for gap in self.gaps]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything as JSON, errors of every name included; infinity is written as text."""
        fields = dataclasses.asdict(self) | {"passed": self.passed, "summary": self.summary()}
        for row, finding in zip(fields["findings"], self.findings, strict=True):
            row |= {"status": finding.status, "power": finding.power, "passed": finding.passed}
        return json.dumps(_finite(fields), indent=1)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, which takes its place when it is whole.

        Raises:
            ZooError: the folder can not be written to, or the disk is full.
        """
        write(Path(path), f"{self.to_json()}\n".encode())

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
