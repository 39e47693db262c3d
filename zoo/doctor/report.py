"""What the doctor found: an object, a JSON file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.doctor.conflicts import Conflict
from zoo.machine import Machine
from zoo.output import Summarized, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A backend. All times are seconds, of a small network in a process of its own.

    Attributes:
        name: the backend's.
        state: ``"works"``, ``"missing"`` or ``"broken"``.
        reason: why it is not working.
        remedy: the command that installs it.
        about: what it tells of itself: version, threads.
        import_seconds: importing the framework.
        first_call_seconds: building the network and running it once.
        seconds: a call after that.
        taken: cores that other programs took from it meanwhile.
        error: max|a - ref| / max|ref| of the logits, against NumPy in float64.
    """

    name: str
    state: str
    reason: str | None = None
    remedy: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    import_seconds: float | None = None
    first_call_seconds: float | None = None
    seconds: float | None = None
    taken: float = 0.0
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDNN:
    """MindSpore's oneDNN as it is shipped and as the zoo limits it; seconds of a small network.

    Attributes:
        verdict: what the times come to, or why there are none.
        remedy: what to do about it.
        notes: settings of this environment that bear on it.
        shipped_seconds: as MindSpore ships it.
        limited_seconds: limited to AVX2, where the processor has AVX-512.
        ratio: of the two, the median over the rounds.
    """

    verdict: str
    remedy: str | None = None
    notes: tuple[str, ...] = ()
    shipped_seconds: float | None = None
    limited_seconds: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, repr=False)
class Diagnosis(Summarized):
    """What was found.

    Attributes:
        version: of parity-zoo.
        machine: as this process sees it.
        packages: package → version, of those that backends need.
        environment: variables that change what frameworks do, as far as they are set.
        network: what each backend ran.
        backends: all there are.
        conflicts: versions that do not work together.
        onednn: MindSpore's.
    """

    version: str | None
    machine: Machine
    packages: Mapping[str, str]
    environment: Mapping[str, str]
    network: str
    backends: tuple[Health, ...]
    conflicts: tuple[Conflict, ...]
    onednn: OneDNN

    @property
    def broken(self) -> tuple[str, ...]:
        """The backends that do not work, or have versions that do not work together."""
        names = [health.name for health in self.backends if health.state == "broken"]
        return tuple(dict.fromkeys([*names, *(c.backend for c in self.conflicts)]))

    def summary(self) -> str:
        """Return one line: everything works, or what does not."""
        working = [health.name for health in self.backends if health.state == "works"]
        if self.broken:
            return f"broken: {', '.join(self.broken)}"
        return f"all that is installed works: {', '.join(working)}"

    def to_json(self) -> str:
        """Return everything as JSON; infinity is written as text."""
        fields = dataclasses.asdict(self) | {"broken": self.broken, "summary": self.summary()}
        for row in fields["backends"]:
            if row["error"] is not None and not math.isfinite(row["error"]):
                row["error"] = str(row["error"])
        return json.dumps(fields, indent=1)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), (self.to_json() + "\n").encode())
