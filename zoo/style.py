"""How the tables of this package look."""

from __future__ import annotations

from typing import Any

from rich import box, markup

from zoo.text import visible

STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "title_justify": "left",
    "title_style": "bold",
    "header_style": "bold",
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
}
"""Of `rich.table.Table`: few lines, so that tables fit 80 columns."""

NAME = 48
"""Characters of an image's name that are shown: its end, which tells it from the others."""


def escape(text: str) -> str:
    """Return a text of strangers as markup that shows it, and does nothing else."""
    return markup.escape(visible(text))


def ending(name: str) -> str:
    """Return the end of a name that is too long to be shown."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"
