"""The findings of a proof as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from zoo.proof.report import Finding, ParityReport


STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "title_justify": "left",
    "title_style": "bold",
    "header_style": "bold",
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
}
"""How the tables of this package look: few lines, so that they fit 80 columns."""


def table(report: ParityReport) -> Table:
    """Return a row a measure and a column a backend, with the error and what is admitted."""
    title = f"parity of {report.model}: error ≤ admitted (at most, elsewhere)"
    view = Table(title=title, **STYLE)
    view.add_column("level", no_wrap=True)
    for label in report.labels:
        view.add_column(label, no_wrap=True)
    rows: dict[str, dict[str, dict[str, Finding]]] = {}
    for f in report.findings:
        rows.setdefault(f.level, {}).setdefault(f.measure, {})[f.backend] = f
    for level, measures in rows.items():
        view.add_row(f"[bold]{level}[/]")
        for measure, found in measures.items():
            cells = [_cell(found[label]) if label in found else "" for label in report.labels]
            # What is about the reference is about none of the candidates.
            if about := [f for label, f in found.items() if label not in report.labels]:
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
