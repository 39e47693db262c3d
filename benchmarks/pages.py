"""How generated pages are brought up to date, or found not to be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

DOCS = Path(__file__).parent.parent / "docs"
Check = Annotated[bool, typer.Option("--check", help="Compare instead of writing.")]


def filled(page: Path, sections: Mapping[str, str]) -> str:
    """Return a page with what stands between the markers of each section replaced."""
    text = page.read_text()
    for name, contents in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise typer.BadParameter(f"{page} must have {begin} and {end} once each")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n\n{contents}\n\n{end}{rest.split(end)[1]}"
    return text


def settle(page: Path, text: str, check: bool) -> None:
    """Write a page, or fail if it is not what would be written."""
    if not check:
        page.write_text(text)
    elif page.read_text() != text:
        typer.echo(f"{page.name} is not what {Path(sys.argv[0]).name} writes: run it", err=True)
        raise typer.Exit(1)
