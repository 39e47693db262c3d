"""One file over HTTP: what has come is kept, carried on, held to a size, a rate and a hash."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from weights.pretrained.hashes import mismatch, sha256
from zoo.errors import WeightsError

if TYPE_CHECKING:  # imported where used: it costs more than the rest of `weights`
    import requests

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
"""Without a single byte."""
LEAST_RATE = 1 << 10
"""Bytes a second on average, once `READ_SECONDS` are over: with no end of its own, a file that
comes byte by byte would take for ever."""
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before each further attempt, of which there are as many."""
CHUNK = 1 << 16

clock = time.monotonic

Tick = Callable[[int, int | None], None]
"""Told (bytes that are there, bytes in all)."""


class _AttemptError(Exception):
    """Why an attempt ended; `final` if another could only end the same way."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


def transfer(url: str, part: Path, wanted: str, limit: int, tick: Tick) -> None:
    """Bring ``part`` to the whole file, in a few attempts.

    A part whose end came in another response than its start may be of two versions of the file. The
    hash tells, so that the server's ETag need not be kept between processes; it is then fetched
    from the start, which counts as an attempt.

    Args:
        url: the address.
        part: what has come of the file, if anything; stays as far as it came.
        wanted: what the file's hash starts with.
        limit: bytes that it may have.
        tick: told of the progress.

    Raises:
        WeightsError: the file cannot be had, or is another one.
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
                    f"{shown(url)}: {failure}{times}; try later, set ZOO_MIRROR to a host that has "
                    f"it, or put the file at {part.with_suffix('')}"
                ) from None
            time.sleep(pause)
            continue
        found = sha256(part)
        if found is not None and found.startswith(wanted):
            return
        part.unlink()
        if not appended or pause is None:
            whose = "the one that came first" if len(wanted) == 64 else "the catalog's"
            raise WeightsError(
                f"{shown(url)}: {mismatch(found, wanted)}; the file is another than {whose}, or "
                "something on the way changes it: nothing was kept, get it from elsewhere "
                "(ZOO_MIRROR)"
            )


def shown(url: str) -> str:
    """Return an address as messages have it: without a user's name and password."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return url.replace(user + at, "", 1)


def _receive(url: str, part: Path, limit: int, tick: Tick) -> bool:
    """Make one request and write what comes; return whether it continued what was there before.

    Raises:
        _AttemptError: the answer is a refusal, too large, too slow or not whole. `part` keeps what
            has come.
    """
    import requests
    import urllib3

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
                begun, before = clock(), done
                with part.open("ab" if appended else "wb") as file:
                    # As it comes: a whole chunk may never be full.
                    while piece := response.raw.read1(CHUNK):
                        done += len(piece)
                        if done > limit:
                            file.truncate(0)
                        _require_size(done, limit)
                        file.write(piece)
                        tick(done, total)
                        _require_rate(done - before, clock() - begun)
                if total is not None and done != total:
                    raise _AttemptError(_broken_off(done, total), final=False)
                return appended
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
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
            raise _AttemptError(f"leads to {shown(after)}, which is not encrypted", final=True)


def _require_content(response: requests.Response) -> None:
    status = response.status_code
    if status not in (200, 206):
        passing = status in (408, 425, 429) or status >= 500
        raise _AttemptError(f"HTTP {status} {response.reason or ''}".strip(), final=not passing)
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise _AttemptError(f"comes as {coding!r}, which was not asked for", final=True)


def _require_size(size: int | None, limit: int) -> None:
    if size is not None and size > limit:
        raise _AttemptError(f"size (={size} bytes or more) must be at most {limit}", final=True)


def _require_rate(count: int, seconds: float) -> None:
    if seconds > READ_SECONDS and count < LEAST_RATE * seconds:
        rate = count / seconds
        raise _AttemptError(
            f"rate (={rate:.0f} bytes/s) must be at least {LEAST_RATE}", final=False
        )


def _broken_off(done: int, total: int | None) -> str:
    return f"truncated: it broke off at {done} of {total or 'unknown'} bytes"


def _failure(error: Exception, done: int | None, total: int | None) -> _AttemptError:
    """Return the failure that an error of the connection stands for, told in one line."""
    import requests

    if done is not None:
        return _AttemptError(_broken_off(done, total), final=False)
    passing = isinstance(error, requests.ConnectionError | requests.Timeout)
    final = not passing or isinstance(error, requests.exceptions.SSLError)
    # requests wraps urllib3's error, which has the system's own as its reason.
    inner: object = error.args[0] if error.args else type(error).__name__
    reason = " ".join(str(getattr(inner, "reason", inner)).split())
    return _AttemptError(f"cannot be reached: {reason}", final=final)
