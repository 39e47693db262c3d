"""What a file of published weights has to hash to: as its publisher says, then as it first came.

Some publishers give eight digits of a hash, which find every damage but stop nobody who is out to
forge a file: eight were matched in 14 s. So the whole hash of the first download is kept beside the
file (``<file>.sha256``), and any later one has to have it; and so is that of the file that we make
of it, which no publisher knows.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from zoo.files import atomic


def sha256(path: Path) -> str | None:
    """Return the hash of a file, 64 hexadecimal digits; None where there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pinned(path: Path) -> str | None:
    """Return the hash that is kept beside a file, or None."""
    try:
        found = _beside(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return found if re.fullmatch(r"[0-9a-f]{64}", found) else None


def pin(path: Path, digest: str) -> None:
    """Keep the hash of a file beside it."""
    with atomic(_beside(path), force=True) as file:
        file.write(f"{digest}\n".encode())


def expected(path: Path, published: str) -> str:
    """Return what a file's hash has to start with: the whole one of its first download, if known.

    Args:
        path: the file.
        published: the first digits, as the catalog has them. They go before what is kept beside
            the file where the two contradict each other.
    """
    found = pinned(path)
    return found if found and found.startswith(published) else published


def mismatch(found: str | None, wanted: str) -> str:
    """Return what a message says of a hash that is another one."""
    if len(wanted) == 64:
        return f"sha256 (={found}) must be {wanted}"
    return f"sha256 (={found}) must start with {wanted}"


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
