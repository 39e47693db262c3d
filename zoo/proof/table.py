"""The findings of a proof as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from zoo.proof.finding import Finding
from zoo.style import STYLE


def table(model: str, labels: Sequence[str], findings: Sequence[Finding]) -> Table:
    """Return a row a measure and a column a candidate, with the error and what is admitted."""
    title = f"parity of {model}: error ≤ admitted (at most, elsewhere)"
    view = Table(title=title, **STYLE)
    view.add_column("level", no_wrap=True)
    for label in labels:
        view.add_column(label, no_wrap=True)
    rows: dict[str, dict[str, dict[str, Finding]]] = {}
    for f in findings:
        rows.setdefault(f.level, {}).setdefault(f.measure, {})[f.backend] = f
    for level, measures in rows.items():
        view.add_row(f"[bold]{level}[/]")
        for measure, found in measures.items():
            cells = [_cell(found[label]) if label in found else "" for label in labels]
            # What is about the reference is about none of the candidates.
            if about := [f for label, f in found.items() if label not in labels]:
                cells = [_cell(f) for f in about]
            view.add_row(f"  {measure}", *cells)
    return view


def _cell(f: Finding) -> str:
    number = "{:.0f}" if f.error == f.tolerance == 0 else "{:.1e}"
    compared = f"{number.format(f.error)} ≤ {number.format(f.tolerance)}"
    if f.power > f.tolerance:
        compared += f" ({f.power:.0e})"
    if f.status == "failed":
        why = f.note or number.format(f.error)
        return f"[red]✗ {why}[/] at {f.diverges_at or f.measure}"
    if f.status == "passed":
        return f"[green]✓[/] {compared}"
    return f"[yellow]? {compared}[/] {f.status}"
