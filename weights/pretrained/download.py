"""Fetching published weights: once, into a cache, whole or not at all.

pooch keeps the cache's folder and puts a finished file in its place; what comes over the network is
written here to ``<file>.part``, because pooch can neither resume a broken download nor compare the
first digits of a hash. One process at a time writes a file: `filelock` holds ``<file>.lock`` by a
lock of the operating system, which ends with the process, so that no stale one is ever left and the
part of a killed process can be carried on by the next. (Parts of their own for each process would
need no lock, but could not be carried on.)

Three variables of the environment steer it:

- ``ZOO_CACHE``: the cache's folder, instead of the operating system's (``~/.cache/parity-zoo``).
- ``ZOO_OFFLINE``: with any value but ``0``, ``false``, ``no`` and ``off``, nothing is fetched.
- ``ZOO_MIRROR``: ``https://host/path`` stands for the scheme and host of every address, whose own
  path follows: ``https://download.mindspore.cn/toolkits/a.ckpt`` is fetched from
  ``https://host/path/toolkits/a.ckpt``. Hashes are checked as ever.

Proxies and certificates are those of `requests`.
"""

from __future__ import annotations

import itertools
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from weights.formats.files import MAX_BYTES
from weights.pretrained.entry import Pretrained
from weights.pretrained.hashes import expected, mismatch, pin, sha256
from zoo.errors import WeightsError

if TYPE_CHECKING:  # imported where used: together they cost more than the rest of `weights`
    import pooch
    import requests

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
"""Without a single byte; a download as a whole may take as long as it needs."""
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before each further attempt, of which there are as many."""
LOCK_SECONDS = 600.0
"""For another process to finish the same file."""

_CHUNK = 1 << 16
_Tick = Callable[[int, int | None], None]


class _AttemptError(Exception):
    """Why an attempt ended; `final` if another could only end the same way."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


BUNDLED = Path(__file__).parent / "bundled"
"""The weights that come with this package."""


def cache_path(entry: Pretrained) -> Path:
    """Return where the file of an entry is: in the cache, or will be, or in this package."""
    if entry.packaged:
        return BUNDLED / urlsplit(entry.url).path
    return Path(_store(entry, entry.url).abspath) / entry.file


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
    path = cache_path(entry)
    if entry.packaged:
        return _packaged(path, entry)
    try:
        found, wanted = sha256(path), expected(path, entry.sha256)
        if found is not None and found.startswith(wanted):
            return path
        if os.environ.get("ZOO_OFFLINE", "").lower() not in ("", "0", "false", "no", "off"):
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
            path.unlink(missing_ok=True)  # pooch, told no whole hash, would take it as it is

            def download(url: str, temporary: str, _: object) -> None:
                part = path.with_name(path.name + ".part")
                with _bar(progress, path.name) as tick:
                    _transfer(url, part, wanted, entry.size or MAX_BYTES, tick)
                pin(path, sha256(part) or "")
                os.replace(part, temporary)

            _store(entry, url).fetch(entry.file, downloader=download)
    except Timeout:
        raise WeightsError(
            f"{path}: another process has been fetching it for {LOCK_SECONDS:g} s; wait for it, "
            "or end it"
        ) from None


def _store(entry: Pretrained, url: str) -> pooch.Pooch:
    import pooch

    return pooch.create(
        path=pooch.os_cache("parity-zoo"),
        env="ZOO_CACHE",
        base_url="",
        registry={entry.file: None},
        urls={entry.file: url},
    )


def _transfer(url: str, part: Path, wanted: str, limit: int, tick: _Tick) -> None:
    """Bring `part` to the whole file, whose hash starts with `wanted`, in a few attempts.

    A part whose end came in another response than its start may be of two versions of the file. The
    hash tells, so that the server's ETag need not be kept between processes; it is then fetched
    from the start, which counts as an attempt.
    """
    # A process that was stopped between the last byte and the new name left nothing to ask for.
    if (sha256(part) or "").startswith(wanted):
        return
    for attempt, pause in enumerate((*PAUSES, None), start=1):
        try:
            appended = _receive(url, part, limit, tick)
        except _AttemptError as failure:
            if failure.final or pause is None:
                times = "" if failure.final else f" (in {attempt} attempts)"
                raise WeightsError(
                    f"{url}: {failure}{times}; try later, set ZOO_MIRROR to a host that has it, or "
                    f"put the file at {part.with_suffix('')}"
                ) from None
            time.sleep(pause)
            continue
        found = sha256(part)
        if found is not None and found.startswith(wanted):
            return
        part.unlink()
        if not appended or pause is None:
            raise WeightsError(
                f"{url}: {mismatch(found, wanted)}; the file is another than {_whose(wanted)}, or "
                "something on the way changes it: nothing was kept, get it from elsewhere "
                "(ZOO_MIRROR)"
            )


def _receive(url: str, part: Path, limit: int, tick: _Tick) -> bool:
    """Make one request and write what comes; return whether it continued what was there before.

    Raises:
        _AttemptError: the answer is a refusal, too large or not whole. `part` keeps what has come.
    """
    import requests

    have = part.stat().st_size if part.exists() else 0
    # "identity": compressed on the way, neither the range nor the length would be the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    done: int | None = None
    total: int | None = None
    try:
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as response:
            _require_encrypted(response)
            if not (have and _is_stale(response, have)):
                _require_content(response)
                appended = have > 0 and response.status_code == 206
                done = have if appended else 0
                length = response.headers.get("Content-Length", "")
                total = done + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
                _require_size(total, limit)
                with part.open("ab" if appended else "wb") as file:
                    for chunk in response.iter_content(_CHUNK):
                        done += len(chunk)
                        if done > limit:
                            file.truncate(0)
                        _require_size(done, limit)
                        file.write(chunk)
                        tick(done, total)
                if total is not None and done != total:  # urllib3 before 2 does not notice
                    raise _AttemptError(_broken_off(done, total), final=False)
                return appended
    except requests.RequestException as error:
        raise _failure(error, done, total) from None
    part.unlink()
    return _receive(url, part, limit, tick)


def _is_stale(response: requests.Response, have: int) -> bool:
    """Return whether the server, asked to continue after `have` bytes, does something else.

    An answer with the whole file (200) is none of these: it overwrites.
    """
    if response.status_code == 206:
        return not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    return response.status_code == 416


def _require_encrypted(response: requests.Response) -> None:
    """Refuse an answer that was asked for by https and came by http."""
    way = [*(step.url for step in response.history), response.url]
    for before, after in itertools.pairwise(way):
        if before.startswith("https:") and not after.startswith("https:"):
            raise _AttemptError(f"leads to {after}, which is not encrypted", final=True)


def _require_content(response: requests.Response) -> None:
    status = response.status_code
    if status not in (200, 206):
        passing = status in (408, 425, 429) or status >= 500
        raise _AttemptError(f"HTTP {status} {response.reason or ''}".strip(), final=not passing)


def _require_size(size: int | None, limit: int) -> None:
    if size is not None and size > limit:
        raise _AttemptError(f"size (={size} bytes or more) must be at most {limit}", final=True)


def _broken_off(done: int, total: int | None) -> str:
    return f"truncated: it broke off at {done} of {total or 'unknown'} bytes"


def _failure(
    error: requests.RequestException, done: int | None, total: int | None
) -> _AttemptError:
    """Return the failure that an error of the connection stands for, told in one line."""
    import requests

    passing = isinstance(
        error,
        requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError,
    )
    final = not passing or isinstance(error, requests.exceptions.SSLError)
    if done is not None:
        return _AttemptError(_broken_off(done, total), final=final)
    # requests wraps urllib3's error, which has the system's own as its reason.
    inner: object = error.args[0] if error.args else type(error).__name__
    reason = " ".join(str(getattr(inner, "reason", inner)).split())
    return _AttemptError(f"cannot be reached: {reason}", final=final)


def _mirrored(url: str) -> str:
    """Return the address at ``ZOO_MIRROR``, if that is set."""
    mirror = os.environ.get("ZOO_MIRROR", "")
    if not mirror:
        return url
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", mirror):
        raise WeightsError(f"ZOO_MIRROR (={mirror!r}) must be like 'https://host/path'")
    parts = urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def _whose(wanted: str) -> str:
    return "the one that came first" if len(wanted) == 64 else "the catalog's"


@contextmanager
def _bar(shown: bool, name: str) -> Iterator[_Tick]:
    if not shown:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
