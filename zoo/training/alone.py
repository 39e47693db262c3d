"""One process at a time in a run's folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from weights.formats.files import UMASK
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


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Make a folder of this process's own beside a path, and remove it unless it was renamed.

    Those that processes which were killed have left are cleared away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*.partial"):
        if not (stale / LOCK).exists():
            continue  # it is being made
        lock = FileLock(stale / LOCK, timeout=0)
        try:
            with lock:
                shutil.rmtree(stale, ignore_errors=True)
        except (Timeout, OSError, NotImplementedError):
            continue  # in use, or not ours to remove
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    lock = FileLock(made / LOCK, timeout=0)
    try:
        made.chmod(0o777 & ~UMASK)
        with suppress(NotImplementedError):
            lock.acquire()
        yield made
    finally:
        lock.release()
        shutil.rmtree(made, ignore_errors=True)
