"""How files on the Hugging Face Hub are named: ``hf-hub:owner/repo[@revision][/file]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import WeightsError

SCHEME = "hf-hub:"
_NAME = r"[A-Za-z0-9][\w.-]*"
_ADDRESS = re.compile(
    rf"{SCHEME}(?P<repo>{_NAME}/{_NAME})(@(?P<revision>[\w.-]+))?(/(?P<file>\w[\w./+-]*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Address:
    """A repository on the hub, and a file in it.

    Attributes:
        repo: ``owner/repo``.
        revision: a branch, a tag or a commit; None for the default branch.
        file: its path in the repository; None for the one file of weights that is there.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        """Return it as it is given."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repo}{revision}" + (f"/{self.file}" if self.file else "")

    @property
    def fixed(self) -> bool:
        """Whether the revision is a commit, which never becomes another."""
        return re.fullmatch(r"[0-9a-f]{40}", self.revision or "") is not None


def is_address(text: object) -> bool:
    """Return whether a text is meant as an address on the hub."""
    return str(text).startswith(SCHEME)


def parse(text: str) -> Address:
    """Return what an address names.

    Raises:
        WeightsError: it is malformed.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or ".." in text:
        raise WeightsError(f"{text}: must be like {SCHEME}owner/repo[@revision][/file]")
    return Address(**found.groupdict())
