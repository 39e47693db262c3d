"""What the doctor prints."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zoo.bench.engine import QUIET
from zoo.bench.measurement import significant
from zoo.doctor.report import Diagnosis, Health, OneDNN
from zoo.style import STYLE


def show(found: Diagnosis, console: Console) -> None:
    """Print a diagnosis: the machine, the backends, what is wrong and what to do."""
    _machine(found, console)
    console.print()
    console.print(_backends(found))
    if any(health.taken > QUIET for health in found.backends):
        console.print("other programs kept processors busy meanwhile: times may be far too long")
    for health in found.backends:
        if health.reason:
            mark = "[red]✗[/]" if health.state == "broken" else "–"
            text = f"{health.name}: {health.reason}: {health.remedy}"
            console.print(f"{mark} {escape(text)}", soft_wrap=True)
    for conflict in found.conflicts:
        console.print(f"[red]✗[/] {escape(str(conflict))}", soft_wrap=True)
    console.print()
    _onednn(found.onednn, console)
    color = "red" if found.broken else "green"
    console.print(f"[bold {color}]{escape(found.summary())}")


def _machine(found: Diagnosis, console: Console) -> None:
    machine = found.machine
    view = Table.grid(padding=(0, 2))
    gib = 2**30
    rows = {
        "processor": f"{machine.cpu}, {machine.architecture}",
        "cores": f"{machine.cores} of {machine.cores_of_machine} may be used",
        "instruction sets": ", ".join(machine.instruction_sets) or "not told by the system",
        "memory": f"{machine.memory_bytes / gib:.1f} GiB, {machine.available_bytes / gib:.1f} free",
        "system": machine.system,
        "Python": f"{machine.python}, parity-zoo {found.version}",
        "packages": ", ".join(f"{name} {held}" for name, held in found.packages.items()),
    }
    if found.environment:
        rows["environment"] = ", ".join(f"{k}={v}" for k, v in found.environment.items())
    for what, text in rows.items():
        view.add_row(f"[bold]{what}[/]", escape(text))
    console.print(view)


def _backends(found: Diagnosis) -> Table:
    view = Table(title=f"each runs {found.network}", show_edge=False, **STYLE)
    view.add_column("backend", no_wrap=True)
    view.add_column("version", no_wrap=True)
    for column in ("threads", "import", "first\ncall", "call,\nms", "error"):
        view.add_column(column, justify="right", no_wrap=True)
    view.add_column("kernels")
    for health in found.backends:
        if health.state == "works":
            view.add_row(f"[green]✓[/] {health.name}", *_cells(health))
        elif health.state == "missing":
            view.add_row(f"– {health.name}", "not installed")
        else:
            view.add_row(f"[red]✗[/] {health.name}", "[red]broken[/]", style="bold")
    return view


def _cells(health: Health) -> list[str]:
    assert health.import_seconds is not None
    assert health.first_call_seconds is not None
    assert health.seconds is not None
    return [
        health.about["version"],
        health.about.get("threads", ""),
        f"{health.import_seconds:.2f} s",
        f"{health.first_call_seconds:.2f} s",
        significant(1e3 * health.seconds),
        f"{health.error:.1e}" if health.error else "0",
        health.about.get("kernels", ""),
    ]


def _onednn(found: OneDNN, console: Console) -> None:
    console.print("[bold]MindSpore's oneDNN[/]")
    if found.ratio is not None:
        assert found.shipped_seconds is not None
        assert found.limited_seconds is not None
        console.print(
            f"the same network takes {significant(1e3 * found.shipped_seconds)} ms with oneDNN as "
            f"it is shipped and {significant(1e3 * found.limited_seconds)} ms as the zoo limits it"
        )
    for line in (found.verdict, found.remedy, *found.notes):
        if line:
            console.print(escape(line))
    console.print()
