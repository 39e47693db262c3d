"""What all parts of a recipe have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict


class Part:
    """Base of the parts: read from JSON, a field that does not exist is an error."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False)
