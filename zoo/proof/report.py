"""What a parity proof found: an object, a JSON file, a table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.output import Tabled, write
from zoo.proof.adequacy import Coverage
from zoo.proof.finding import REFERENCE, Finding

if TYPE_CHECKING:
    from rich.table import Table


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
            ZooError: the folder cannot be written to, or the disk is full.
        """
        write(Path(path), f"{self.to_json()}\n".encode())

    def plot(self, path: str | Path) -> None:
        """Draw the error along the depth of the network as a PNG."""
        from zoo.proof.chart import draw

        draw(self.summary(), self.findings, Path(path))

    def table(self) -> Table:
        """Return the findings as a table for the terminal (`rich`)."""
        from zoo.proof.table import table

        return table(self.model, self.labels, self.findings)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
