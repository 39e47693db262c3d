"""Fields that a spec, its conventions or an operator did not always have.

JSON leaves them out at their default: the hashes of networks stay those of the files that there
are, and what was written before the field reads as its default.
"""

from __future__ import annotations

import dataclasses
from typing import Any

LATER = {"later": True}
"""The ``metadata`` of such a field, which has a default."""


def stated(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that JSON states: all but later ones at their default."""
    return {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if not (field.metadata.get("later") and getattr(value, field.name) == field.default)
    }
