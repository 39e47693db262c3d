"""Fetching published weights: once, into a cache, whole or not at all.

What comes over the network is written to ``<file>.part``. One process at a time writes a file:
`filelock` holds ``<file>.lock`` by a lock of the operating system, which ends with the process, so
that no stale one is ever left and the part of a killed process can be carried on by the next.
(Parts of their own for each process would need no lock, but could not be carried on.)

Three variables of the environment steer it:

- ``ZOO_CACHE``: the cache's folder, instead of the operating system's (``~/.cache/parity-zoo``).
- ``ZOO_OFFLINE``: with any value but ``0``, ``false``, ``no`` and ``off``, nothing is fetched.
- ``ZOO_MIRROR``: ``https://host/path`` stands for the scheme and host of every address, whose own
  path follows: ``https://download.mindspore.cn/toolkits/a.ckpt`` is fetched from
  ``https://host/path/toolkits/a.ckpt``. Hashes are checked as ever.

Proxies and certificates are those of `requests`.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from weights.pretrained import hub
from weights.pretrained.cache import cache_folder, is_offline
from weights.pretrained.entry import Pretrained
from weights.pretrained.hashes import expected, mismatch, pin, sha256
from weights.pretrained.transfer import Tick, transfer
from zoo.errors import WeightsError

LOCK_SECONDS = 600.0
"""For another process to finish the same file."""
LARGEST = 4 << 30
"""Bytes of a file whose publisher does not say how many it has: more than any has."""

BUNDLED = Path(__file__).parent / "bundled"
"""The weights that come with this package."""


def cache_path(entry: Pretrained) -> Path:
    """Return where the file of an entry is: in the cache, or will be, or in this package."""
    if entry.packaged:
        return BUNDLED / urlsplit(entry.url).path
    return cache_folder() / entry.file


def fetch(entry: Pretrained, *, progress: bool = False) -> Path:
    """Return the file of an entry, downloaded unless the cache has it already.

    The hash is checked either way. A file that no longer fits is warned about and fetched again. A
    connection that breaks is taken up where it broke, now or at the next call.

    Args:
        entry: of `find` or `list_pretrained`.
        progress: whether to show a bar on the standard error stream.

    Raises:
        WeightsError: the file cannot be had (offline, unreachable, missing, truncated, too large),
            its hash is another, or the cache cannot be written. No file is in place then.
    """
    if entry.on_hub:
        return hub.fetch(entry.url, published=True)
    path = cache_path(entry)
    if entry.packaged:
        return _packaged(path, entry)
    try:
        found, wanted = sha256(path), expected(path, entry.sha256)
        if found is not None and found.startswith(wanted):
            return path
        if is_offline():
            state = f"damaged: {mismatch(found, wanted)}" if found else "not in the cache"
            raise WeightsError(
                f"{path}: {state}; unset ZOO_OFFLINE to fetch {entry.url}, or put the file there"
            )
        url = _mirrored(entry.url)
        if found is not None:
            damage = f"{path}: damaged: {mismatch(found, wanted)}; fetched again"
            warnings.warn(damage, stacklevel=2)
        _fetch_alone(entry, url, path, progress)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read or written: {error.strerror or error}; ZOO_CACHE names "
            "another folder"
        ) from None
    return path


def _packaged(path: Path, entry: Pretrained) -> Path:
    found = sha256(path)
    if found is None or not found.startswith(entry.sha256):
        state = f"damaged: {mismatch(found, entry.sha256)}" if found else "missing"
        raise WeightsError(f"{path}: {state}; install the package again")
    return path


def _fetch_alone(entry: Pretrained, url: str, path: Path, progress: bool) -> None:
    """Fetch while no other process does, unless one has just done so."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            found, wanted = sha256(path), expected(path, entry.sha256)
            if found is not None and found.startswith(wanted):
                return
            path.unlink(missing_ok=True)
            part = path.with_name(path.name + ".part")
            with _bar(progress, path.name) as tick:
                transfer(url, part, wanted, entry.size or LARGEST, tick)
            pin(path, sha256(part) or "")
            part.replace(path)
    except Timeout:
        raise WeightsError(
            f"{path}: another process has been fetching it for {LOCK_SECONDS:g} s; wait for it, "
            "or end it"
        ) from None


def _mirrored(url: str) -> str:
    """Return the address at ``ZOO_MIRROR``, if that is set."""
    mirror = os.environ.get("ZOO_MIRROR", "")
    if not mirror:
        return url
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", mirror):
        told = re.sub(".*@", "", mirror)  # what is before it may be a password
        raise WeightsError(f"ZOO_MIRROR (={told!r}) must be like 'https://host/path'")
    parts = urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


@contextmanager
def _bar(shown: bool, name: str) -> Iterator[Tick]:
    if not shown:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
