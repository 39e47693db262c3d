"""Public names of before, which still work and warn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any


def warn(old: str, new: str) -> None:
    """Warn that a name is one of before. The caller's caller is who uses it."""
    warnings.warn(f"{old} is now called {new}", DeprecationWarning, stacklevel=3)


def former(module: str, scope: Mapping[str, Any], names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, which finds what names of before are called now.

    Args:
        module: its name.
        scope: its globals.
        names: the name of before → the one of now.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn(f"{module}.{name}", f"{module}.{names[name]}")
        return scope[names[name]]

    return find
