"""A bar, or lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from zoo.output import Progress as Report


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show a bar while the body runs, and hand it the function that moves it.

    Where there is no terminal (a log, a pipe) a line a step goes to standard error instead.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        told: list[str] = []

        def tell(what: str, done: int, total: int) -> None:
            if told[-1:] != [what]:  # of what takes many steps (batches of images), the first
                told.append(what)
                print(f"[{done}/{total}] {what}", file=sys.stderr)

        yield tell
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("references", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )
