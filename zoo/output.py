"""What comes out: files, whole or not at all, and reports as prompts and notebooks show them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import OutputError
from zoo.files import atomic, require_free

if TYPE_CHECKING:
    from rich.table import Table

Progress = Callable[[str, int, int], None]
"""Told of every step of what takes long: what is done, how many steps are, of how many."""


def require_writable(path: Path, suffix: str, force: bool = True) -> None:
    """Raise `OutputError` unless a file can be written here.

    Args:
        path: the destination.
        suffix: what its name must end in.
        force: whether one that exists may be replaced.
    """
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: the suffix must be {suffix}")
    require_free(path, force)


def write(path: Path, contents: bytes, *, force: bool = True) -> None:
    """Write a file that takes its place when it is whole; a failure leaves the old one.

    Args:
        path: the destination.
        contents: what it is to hold.
        force: whether one that exists is replaced.

    Raises:
        OutputError: the file exists, the folder cannot be written to, or the disk is full.
    """
    with atomic(path, force=force) as file:
        file.write(contents)


class Summarized:
    """A report that a prompt shows in one line: the first of its ``summary()``."""

    def summary(self) -> str:
        """Return what was found, in words."""
        raise NotImplementedError

    def to_json(self) -> str:
        """Return what was found as JSON."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), (self.to_json() + "\n").encode())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {(self.summary() or 'of nothing').splitlines()[0]}>"


class Tabled(Summarized):
    """A report that notebooks show as its ``table()``, and prompts in one line."""

    def table(self) -> Table:
        """Return what was found as a table for the terminal (`rich`)."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return it as IPython asks for it: what cannot show the one takes the other."""
        from rich.console import Console

        console = Console(record=True, file=io.StringIO(), width=WIDTH)
        console.print(self.table())
        style = "white-space: pre; overflow-x: auto; line-height: normal"
        page = console.export_html(
            inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>'
        )
        return {"text/plain": repr(self), "text/html": page}


WIDTH = 140
"""Characters of a table in a notebook, which scrolls."""
