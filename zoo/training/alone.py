"""One process at a time in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import TrainingError

LOCK = ".lock"
"""In a run's folder. The operating system's lock on it ends with its process, however that ends."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes from training in a run's folder while the body runs.

    Raises:
        TrainingError: another one does, or the folder cannot be written to.
    """
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainingError(f"{path}: another process is training in it") from None
    except NotImplementedError:
        pass  # a file system without locks, on which all was well so far
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()
