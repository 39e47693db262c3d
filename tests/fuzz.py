"""Damaged files at every door: each is read or refused with a ZooError, and nothing else.

    python tests/fuzz.py --cases 20000 --json FILE       # so many cases over all doors
    python tests/fuzz.py --door npz --first 123 --cases 1 --keep case.npz

A case is made from (seed, door, number) alone. Cases run in a child process whose memory and time
are limited and in which warnings are errors; one that crashes or hangs the interpreter is found by
its number, after which the child is started again. What is in FILE already is not done again.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzzing.child import MEMORY, PATIENCE, SECONDS, child
from fuzzing.doors import DOORS, case
from fuzzing.samples import Case

BATCH = 20_000
"""Cases of a door in a row; then FILE is written and the next door has its turn."""


def run(
    name: str,
    cases: int,
    seed: int = 0,
    first: int = 0,
    read: str = "",
    patience: float = PATIENCE,
    valid: list[Case] | None = None,
) -> dict[str, Any]:
    """Return what became of the cases of one door: counts, times, memory and failures."""
    result: dict[str, Any] = {"cases": cases, "read": 0, "refused": 0, "failed": []}
    slowest, grown, start, stop = 0.0, 0, time.perf_counter(), first + cases
    with tempfile.TemporaryDirectory(dir=_quick()) as folder:
        given, errors = Path(folder, "samples"), Path(folder, "errors")
        given.write_bytes(pickle.dumps(DOORS[name].valid() if valid is None else valid))
        while first < stop:
            command = [sys.executable, "-W", "error", __file__, "--child", "--door", name,
                       "--samples", str(given), "--seed", str(seed), "--first", str(first),
                       "--cases", str(stop - first), "--read", read,
                       "--patience", str(patience)]  # fmt: skip
            with errors.open("wb") as sink:
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=sink, text=True, check=False
                )
            told = errors.read_bytes()[-4000:].decode(errors="replace")
            lines = done.stdout.splitlines()
            for number, line in zip(lines[::2], lines[1::2], strict=False):
                verdict, why, spent, growth = json.loads(line)
                slowest, grown = max(slowest, spent), max(grown, growth)
                if verdict == "failed":
                    result["failed"].append({"case": int(number), "seed": seed, "why": why})
                else:
                    result[verdict] += 1
            if not lines:
                raise RuntimeError(f"the fuzzer itself fails on {name}:\n{told}")
            first = int(lines[-1 - (len(lines) % 2 == 0)]) + 1
            if len(lines) % 2:
                why = f"ends the interpreter (exit status {done.returncode}):\n{told}"
                result["failed"].append({"case": first - 1, "seed": seed, "why": why})
    result["commits"] = [commit()]
    result["seconds"] = round(time.perf_counter() - start, 2)
    result["slowest_seconds"] = round(slowest, 4)
    result["grown_mib"] = grown >> 20
    return result


def _quick() -> str | None:
    """Return a folder in memory, where the system has one: each case is a file."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def kinds(failed: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return failures by what and where: the kind of error, and the last line of the traceback."""
    found = collections.defaultdict(list)
    for failure in failed:
        what = re.split(r"[:(\n]", failure["why"], maxsplit=1)[0]
        places = re.findall(r'File "([^"]+)", line (\d+)', failure["why"]) or [("", "")]
        file, line = places[-1]
        found[f"{what} {Path(file).name}:{line}"].append(failure)
    return dict(found)


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the sum of two results of one door."""
    together = {key: old[key] + new[key] for key in ("cases", "read", "refused", "failed")}
    together["commits"] = sorted({*old["commits"], *new["commits"]})
    together["seconds"] = round(old["seconds"] + new["seconds"], 2)
    for key in ("slowest_seconds", "grown_mib"):
        together[key] = max(old[key], new[key])
    return together


def commit() -> str:
    """Return the commit that runs here."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip()


def record(path: Path, seed: int, doors: dict[str, dict[str, Any]]) -> None:
    """Write results to a file: whole, or as it was."""
    from zoo.machine import processor

    told = {
        "date": datetime.date.today().isoformat(),
        "processor": processor().get("brand_raw"),
        "seed": seed,
        "limits": {"seconds": SECONDS, "mib": MEMORY >> 20},
        "cases": sum(found["cases"] for found in doors.values()),
        "failed": sum(len(found["failed"]) for found in doors.values()),
        "doors": doors,
    }
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(told, indent=1) + "\n")
    partial.replace(path)


def show(name: str, found: dict[str, Any]) -> None:
    print(f"{name:16} {found['cases']} cases: {found['read']} read, {found['refused']} refused, "
          f"{len(found['failed'])} failed; {found['seconds']} s, slowest "
          f"{1e3 * found['slowest_seconds']:.1f} ms, memory +{found['grown_mib']} MiB",
          flush=True)  # fmt: skip
    for kind, failures in kinds(found["failed"]).items():
        first = failures[0]
        print(f"  {len(failures)} x {kind}: case {first['case']}, seed {first['seed']}: "
              f"{first['why']}", flush=True)  # fmt: skip


def everything(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run doors in turns until each has its share of the cases, and keep what is done in a file."""
    names = args.door or list(DOORS)
    shares = sum(DOORS[name].share for name in names)
    wanted = {name: -int(-args.cases * DOORS[name].share // shares) for name in names}
    done: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        kept = json.loads(args.json.read_text())
        done = kept["doors"] if kept.get("seed") == args.seed else {}
    valid = {name: DOORS[name].valid() for name in names}
    while left := [n for n in names if done.get(n, {"cases": 0})["cases"] < wanted[n]]:
        for name in left:
            at = done.get(name, {"cases": 0})["cases"]
            count = min(BATCH, wanted[name] - at)
            new = run(name, count, args.seed, args.first + at, args.read, valid=valid[name])
            done[name] = merge(done[name], new) if name in done else new
            if args.json:
                record(args.json, args.seed, done)
            if new["failed"]:
                show(name, new)
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--door", choices=DOORS, action="append", help="some instead of all")
    parser.add_argument("--cases", type=int, default=20_000, help="of all doors together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the results; it is gone on with")
    parser.add_argument("--keep", type=Path, help="where the first case is put")
    parser.add_argument("--read", default="", help=argparse.SUPPRESS)
    parser.add_argument("--samples", help=argparse.SUPPRESS)
    parser.add_argument("--patience", type=float, default=PATIENCE, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        args.door = args.door[0]
        child(args)
        return 0
    if args.keep:
        from fuzzing.child import put

        (name,) = args.door
        put(case(name, DOORS[name].valid(), args.seed, args.first), args.keep)
    results = everything(args)
    for name, found in results.items():
        show(name, found)
    return int(any(found["failed"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
