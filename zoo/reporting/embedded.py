"""Pictures inside a page: it loads nothing."""

from __future__ import annotations

import base64


def png(contents: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(contents).decode()}"


def svg(contents: bytes) -> str:
    """Return an SVG as an address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(contents).decode()}"
