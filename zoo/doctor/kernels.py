"""What the kernels of each backend round: the numbers behind the bounds of a proof."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import backends
from zoo.errors import BackendNotInstalledError
from zoo.machine import machine
from zoo.output import write
from zoo.proof import kernels
from zoo.proof.candidate import Candidate
from zoo.proof.case import make_case
from zoo.proof.local import own_errors
from zoo.proof.mutants.workbench import workbench

if TYPE_CHECKING:
    from rich.table import Table

SEEDS = (0, 1, 2)
IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What one operator rounds on one backend.

    Attributes:
        backend: its name.
        version: its version.
        operator: the operator's class.
        error: the largest of any node, channel and seed, in units of the operator's magnitude.
        admitted: what a proof admits there.
    """

    backend: str
    version: str
    operator: str
    error: float
    admitted: float

    @property
    def passed(self) -> bool:
        """Whether the kernel is as good as proofs take it to be."""
        return self.error <= self.admitted


@dataclass(frozen=True)
class KernelReport:
    """The kernels of a machine.

    Attributes:
        processor: its name and instruction sets.
        kernels: by backend, then by operator.
        missing: backend → why it could not be measured.
    """

    processor: str
    kernels: tuple[Kernel, ...]
    missing: dict[str, str]

    @property
    def failures(self) -> tuple[Kernel, ...]:
        """Kernels that are coarser than proofs admit."""
        return tuple(kernel for kernel in self.kernels if not kernel.passed)

    def summary(self) -> str:
        """Return one line: all within what is admitted, or which is not."""
        for kernel in self.failures:
            return (
                f"{kernel.backend} {kernel.version}: {kernel.operator} is off by "
                f"{kernel.error:.1e} of its magnitude, where {kernel.admitted:.1e} is admitted"
            )
        names = ", ".join(dict.fromkeys(kernel.backend for kernel in self.kernels))
        return f"every kernel rounds as little as proofs admit: {names}"

    def save(self, path: str | Path) -> None:
        """Write everything as JSON, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), f"{json.dumps(dataclasses.asdict(self), indent=1)}\n".encode())

    def table(self) -> Table:
        """Return a row an operator and a column a backend (`rich`)."""
        from rich.table import Table

        from zoo.style import STYLE

        view = Table(title="largest error, in units of the operator's magnitude", **STYLE)
        view.add_column("operator", no_wrap=True)
        names = list(dict.fromkeys(kernel.backend for kernel in self.kernels))
        for name in names:
            view.add_column(name, justify="right", no_wrap=True)
        found = {(kernel.operator, kernel.backend): kernel for kernel in self.kernels}
        for operator in dict.fromkeys(kernel.operator for kernel in self.kernels):
            cells = []
            for name in names:
                kernel = found.get((operator, name))
                text = "" if kernel is None else f"{kernel.error:.1e}" if kernel.error else "0"
                cells.append(text if kernel is None or kernel.passed else f"[red]{text}[/]")
            view.add_row(operator, *cells)
        return view


def measure_kernels(
    names: Sequence[str] | None = None, progress: Callable[[str, int, int], None] | None = None
) -> KernelReport:
    """Run every operator on every backend, and return what each of them rounds.

    A network with every operator in every setting is run on random images in evaluation mode, and
    in training mode where the backend has it; each node is compared with the float64 reference on
    the inputs that the backend made itself.

    Args:
        names: backends; all by default.
        progress: told of every step: what is being done, steps done, steps in all.

    Returns:
        The measurements; a backend that is missing or broken is told, not raised.
    """
    wanted = list(names or sorted(backends.BACKENDS))
    graph = workbench(dropout=0.0)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((IMAGES, *graph.input_shape[1:])).astype(np.float32)
    cases = [make_case(graph, seed=s, images=images, weights=None, steps=2) for s in SEEDS]
    found: list[Kernel] = []
    missing: dict[str, str] = {}
    for i, name in enumerate(wanted):
        if progress:
            progress(name, i, len(wanted))
        try:
            engine = backends.load(name)
        except BackendNotInstalledError as error:
            missing[name] = str(error)
            continue
        candidate = Candidate(name, engine, graph)
        errors: dict[str, tuple[float, float]] = {}
        for case in cases:
            for training in (False, True)[: 1 + ("batch_statistics" in engine.LEVELS)]:
                values, buffers = candidate.forward(case, training=training)
                given = case.weights[training]
                for own in own_errors(graph, given, images, values, buffers, training=training):
                    kind = type(own.node.op).__name__
                    most = max(own.error, errors.get(kind, (0.0, 0.0))[0])
                    errors[kind] = (most, kernels.admitted(name, own.node.op))
        version = engine.describe()["version"]
        found += [
            Kernel(backend=name, version=version, operator=kind, error=largest, admitted=bound)
            for kind, (largest, bound) in sorted(errors.items())
        ]
    if progress:
        progress("done", len(wanted), len(wanted))
    host = machine()
    sets = ", ".join(host.instruction_sets)
    return KernelReport(f"{host.cpu} ({sets})", tuple(found), missing)
