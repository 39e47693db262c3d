"""What a benchmark measured: an object, a JSON file, a table, a chart."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.bench.engine import QUIET
from zoo.bench.measurement import FLOAT32, Failure, Measurement
from zoo.output import Tabled, write

if TYPE_CHECKING:
    from rich.table import Table

MEANINGS = {
    "latency": "median of the calls ± half the distance of their quartiles, NumPy to NumPy",
    "speed": "relative to the first row: the median over the rounds",
    "memory": "largest resident set of the engine's process, Python and the framework included",
    "first call": "build, compile and first run, after the framework was imported",
    "error": "max|a - ref| / max|ref| of the logits, ref being NumPy's in float64",
}
"""What the columns of the table mean."""


@dataclass(frozen=True, repr=False)
class BenchmarkReport(Tabled):
    """What was measured, and with what.

    Attributes:
        model: the network's name.
        spec: its spec as JSON fields, with ``sha256``.
        made_with: the settings and the machine.
        engines: backend → what it tells of itself: version, threads.
        measurements: by batch size, then in the order asked for.
        failures: what could not be measured.
    """

    model: str
    spec: Mapping[str, Any]
    made_with: Mapping[str, Any]
    engines: Mapping[str, Mapping[str, str]]
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def batches(self) -> dict[int, list[Measurement]]:
        """The measurements by batch size."""
        found: dict[int, list[Measurement]] = {}
        for row in self.measurements:
            found.setdefault(row.batch, []).append(row)
        return found

    def versions(self) -> str:
        """Return a line on the engines and one on the machine."""
        engines = []
        for name, about in self.engines.items():
            held = ", ".join(f"{key} {about[key]}" for key in about if key != "version")
            engines.append(f"{name} {about['version']}" + (f" ({held})" if held else ""))
        machine = self.made_with["machine"]
        sets = ", ".join(machine["instruction_sets"])
        return (
            f"{', '.join(engines)}\n{machine['cpu']}, {machine['cores']} of "
            f"{machine['cores_of_machine']} processors, {sets or machine['architecture']}"
        )

    def summary(self) -> str:
        """Return a line for each batch size, and one for each engine that failed or is off."""
        lines = []
        for batch, rows in self.batches.items():
            best = min(rows, key=lambda row: row.seconds)
            lines.append(
                f"{self.model}, batch {batch}: {best.form.label} is the fastest, "
                f"{best.seconds * 1e3:.2f} ms, {best.images_per_second:.1f} images/s"
            )
        lines += [
            f"{row.form.label}, batch {row.batch}: the error (={row.error:.1e}) is more than "
            f"float32 makes (at most {FLOAT32:.0e})"
            for row in self.measurements
            if not row.error <= FLOAT32
        ]
        disturbed = [row for row in self.measurements if min(row.taken.values()) > QUIET]
        if disturbed:
            which = ", ".join(f"{row.form.label} at batch {row.batch}" for row in disturbed)
            if len(disturbed) == len(self.measurements):
                which = "all times"
            lines.append(
                "other programs kept processors busy (fewer threads leave them room); "
                f"not to be relied on: {which}"
            )
        lines += [f"{f.form.label}, batch {f.batch}: failed: {f.reason}" for f in self.failures]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything as JSON; infinity is written as text."""
        fields = dataclasses.asdict(self) | {"meanings": MEANINGS}
        for row, found in zip(fields["measurements"], self.measurements, strict=True):
            row["label"] = found.form.label
            row["images_per_second"] = found.images_per_second
            row["first_call_seconds"] = found.first_call_seconds
            if not math.isfinite(found.error):
                row["error"] = str(found.error)
        return json.dumps(fields, indent=1)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), (self.to_json() + "\n").encode())

    def plot(self, path: str | Path) -> None:
        """Draw the measurements as bars into a PNG, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        from zoo.bench.chart import draw

        write(Path(path), draw(self.model, self.made_with, self.batches))

    def table(self) -> Table:
        """Return the measurements as a table for the terminal (`rich`)."""
        from zoo.bench.table import table

        return table(self.model, self.made_with, self.batches)
