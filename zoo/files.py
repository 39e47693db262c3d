"""Files that are whole or not there: the one place that writes them.

What is unfinished lies beside its destination as ``.NAME.RANDOM.part``, a file or a folder, under a
lock of the operating system, which ends with its process. So who writes there next can tell what a
killed process has left from what another one is still writing, and clears it away.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from zoo.errors import OutputError

if sys.platform != "win32":
    import fcntl


def require_free(path: Path, force: bool) -> None:
    """Raise `OutputError` if the destination may not be written: early, before any work is done.

    Args:
        path: the destination.
        force: whether an existing file may be replaced.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    if path.exists() and not force:
        raise _exists(path)
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written to")


@contextmanager
def atomic(
    path: Path, *, force: bool, verify: Callable[[Path], object] | None = None
) -> Iterator[BinaryIO]:
    """Open a file that takes its place when the body has ended; a failure leaves the old one.

    The bytes reach the disk before they get their name. An old file's permissions are kept; where a
    link leads to it, the link stays.

    Args:
        path: the destination.
        force: whether a file that is there, if only by then, is replaced.
        verify: called with the finished file before it gets its name; may raise.

    Raises:
        OutputError: the folder cannot be written to, the disk is full, or the file exists.
    """
    with _told(path):
        target = path.resolve() if path.is_symlink() else path
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~UMASK
        with _part(target) as part:
            with part.open("r+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if verify is not None:
                verify(part)
            part.chmod(mode)  # a part is its owner's alone
            if force:
                part.replace(target)
            else:
                _place(part, target, path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Make a folder for what is unfinished beside a destination; gone afterwards, unless renamed.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part(path, folder=True) as part:
            yield part


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _part(target: Path, folder: bool = False) -> Iterator[Path]:
    """Make a file or folder beside ``target`` that others see is in use; gone afterwards."""
    _clear(target)
    lock = None
    while lock is None:  # who clears may have found it before it was locked
        part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.part")
        if folder:
            part.mkdir()
        else:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        lock = _hold(part)
    try:
        yield part
    finally:
        _remove(part)
        os.close(lock)


def _clear(target: Path) -> None:
    """Remove the parts that processes which are no more have left."""
    parts = re.compile(rf"\.{re.escape(target.name[:40])}\.[a-z0-9_]{{8}}\.part")
    with suppress(OSError):  # a folder that cannot be listed
        for part in list(target.parent.iterdir()):
            if not parts.fullmatch(part.name) or part.is_symlink():
                continue
            with suppress(OSError):
                lock = _hold(part, needed=True)
                if lock is not None:
                    _remove(part)
                    os.close(lock)


def _hold(part: Path, needed: bool = False) -> int | None:
    """Return a descriptor that holds a part's lock until it is closed; None if another process has.

    Args:
        part: the file or folder.
        needed: return None as well where the file system has no locks.
    """
    if sys.platform == "win32":  # nothing is cleared: it opens no folders, and locks otherwise
        return None if needed else os.open(os.devnull, os.O_RDONLY)
    try:
        held = os.open(part, os.O_RDONLY if part.is_dir() else os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if needed or isinstance(error, BlockingIOError):
            os.close(held)
            return None
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(held), part.stat()):
            return held
    os.close(held)
    return None


def _remove(part: Path) -> None:
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _place(part: Path, target: Path, path: Path) -> None:
    """Give a file its name unless another one has it by now."""
    try:
        try:
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:  # no hard links here: a kill between these two leaves an empty file
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            part.replace(target)
    except FileExistsError:
        raise _exists(path) from None


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path}: exists and is kept; force=True (--force) replaces it")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _umask()
"""Read once: to read it is to set it, for all threads of the process."""
