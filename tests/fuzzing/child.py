"""The process that cases run in: its limits, and what it says of each case."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzzing.doors import DOORS, case
from fuzzing.samples import Case
from zoo.errors import ZooError

SECONDS = 2.0
"""Of the processor a case may take; the machine may be busy with other things as well."""
PATIENCE = 10.0
"""Seconds after which a case that takes none of the processor is ended, and twice as many after
which the interpreter is."""
MEMORY = 256 << 20
"""Bytes beyond what the process has when a case starts: asked for, whether used or not."""
WARNED = re.compile(r"MemoryError|Unable to allocate|too much memory|bad_?alloc|bad allocation")


class TooSlow(BaseException):
    """A case took too long: no `Exception`, which a reader might catch."""


def examine(read: Callable[[Path], Any], path: Path, patience: float) -> tuple[str, str]:
    """Return "read", "refused" or "failed", and why."""

    def stop(*_: object) -> None:
        raise TooSlow

    for clock, timer, seconds in (
        (signal.SIGALRM, signal.ITIMER_REAL, patience),
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
    ):
        signal.signal(clock, stop)
        signal.setitimer(timer, seconds)
    try:
        read(path)
    except ZooError as error:
        if any(isinstance(e, MemoryError) for e in _causes(error)) or WARNED.search(str(error)):
            return "failed", f"asks for more than {MEMORY} bytes: {error}\n{_place(error)}"
        return "refused", str(error)
    except TooSlow as error:
        return "failed", f"takes more than {SECONDS} s:\n{_place(error)}"
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {error}\n{_place(error)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read", ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__)[-4:])


def put(data: Case, path: Path) -> None:
    """Write a case where its reader finds it."""
    if path.is_dir():
        shutil.rmtree(path)
    if isinstance(data, bytes):
        path.write_bytes(data)
        return
    path.unlink(missing_ok=True)
    path.mkdir()
    for name, content in data.items():
        file = path / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError:  # a folder of this name is there already
            continue


def child(args: argparse.Namespace) -> None:
    """Run the cases of one door here, one line of JSON each; the number goes first, by itself."""
    with Path(args.samples).open("rb") as file:
        valid = pickle.load(file)
    read = DOORS[args.door].read
    if args.read:
        module, function = args.read.split(":")
        read = getattr(importlib.import_module(module), function)
    path = Path(args.samples).with_name(f"case{DOORS[args.door].suffix}")
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what readers print is no line of ours
    for data in valid if not args.read else ():
        put(data, path)
        read(path)  # imports what it needs, and shows that the samples are valid
    # Pillow warns of what it reads all the same; as errors these would end what users see go on.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM, signal.SIGPROF])
    armed = 0.0
    for number in range(args.first, args.first + args.cases):
        put(case(args.door, valid, args.seed, number), path)
        print(number, file=said)
        if time.monotonic() - armed > 1:  # a thread each time
            armed = time.monotonic()
            faulthandler.dump_traceback_later(2 * args.patience, exit=True, file=sys.stderr)
        verdict, why, spent, grown = judged(read, path, args.patience)
        print(
            json.dumps([verdict, why[:4000] if verdict == "failed" else "", spent, grown]),
            file=said,
        )


def judged(
    read: Callable[[Path], Any], path: Path, patience: float = PATIENCE
) -> tuple[str, str, float, int]:
    """Return what `examine` does within the limit on memory, the seconds and bytes that it took."""
    hard, before = resource.getrlimit(resource.RLIMIT_DATA)[1], _memory()
    resource.setrlimit(resource.RLIMIT_DATA, (before["VmData"] + MEMORY, hard))
    Path("/proc/self/clear_refs").write_text("5")  # the most that is counted from here
    start = time.process_time()
    verdict, why = examine(read, path, patience)
    spent, now = time.process_time() - start, _memory()
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    grown = now["VmHWM"] - before["VmRSS"]
    if verdict != "failed" and grown > MEMORY:
        verdict, why = "failed", f"used {grown} bytes, more than {MEMORY}: {why}"
    return verdict, why, spent, grown


def _memory() -> dict[str, int]:
    """Return what the system says of this process's memory, in bytes."""
    found = re.findall(r"(Vm\w+):\s*(\d+)", Path("/proc/self/status").read_text())
    return {name: int(kib) << 10 for name, kib in found}
