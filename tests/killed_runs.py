"""Runs that are killed again and again, beside one that is left alone (tests/test_training.py).

    python tests/killed_runs.py FOLDER 100 --backend torch --json FILE

A process that has imported everything forks: so a new start takes no seconds. Each start has
another number of workers. A round ends undisturbed, and has to end as the run that was left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from training_material import tiny_data, tiny_recipe

import backends
import zoo
from zoo.machine import processor

EPOCHS, STEPS = 12, 4
KILLS = 10
"""In a round, at most; it ends before them where the run has come too far."""
NETWORK = {"stage_channels": [48], "stage_repeats": [1], "num_classes": 3, "image_size": 16}


class Seen:
    """What a process that will be killed says of itself: the steps it took, in shared memory."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8)

    def tell(self, _: str, step: int, __: int) -> None:
        """Note a step, as `Progress`."""
        self.memory[:8] = struct.pack("q", step)

    @property
    def step(self) -> int:
        """The last one; 0 before the first."""
        return int(struct.unpack("q", self.memory[:8])[0])


def go_on(folder: Path, backend: str, workers: int, seen: Seen) -> None:
    """Begin or go on, in a process of its own."""
    data = tiny_data(32 * STEPS, 64)  # MindSpore compiles for each size of a batch
    if folder.exists():
        zoo.resume(folder, data=data, workers=workers, progress=seen.tell)
        return
    recipe = tiny_recipe(overrides=NETWORK, epochs=EPOCHS)
    zoo.train(recipe, data, folder, backend=backend, workers=workers, progress=seen.tell)
    (folder.parent / "modules.txt").write_text("\n".join(sys.modules))


def started(folder: Path, backend: str, workers: int, seen: Seen) -> int:
    """Return the process that goes on."""
    seen.memory[:8] = bytes(8)
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as silence, contextlib.redirect_stdout(silence):
            try:
                go_on(folder, backend, workers, seen)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os._exit(0)
    return child


def undisturbed(folder: Path, backend: str, workers: int) -> None:
    """Let a run come to its end."""
    _, status = os.waitpid(started(folder, backend, workers, Seen()), 0)
    assert status == 0


def progress(folder: Path) -> tuple[int, int]:
    """Return (the newest checkpoint's epoch, the epochs that the log has)."""
    try:
        run = zoo.open_run(folder)
        return run.last.epoch, len(run.epochs)
    except zoo.ZooError:
        return 0, 0


def files(folder: Path) -> set[str]:
    """Return what lies in a folder and beside it, but for TensorBoard's files, one a start."""
    beside = {path.name for path in folder.parent.glob(f".{folder.name}*")}
    inside = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return beside | {name for name in inside if "tfevents" not in name}


def differing_bits(one: Path, other: Path) -> int:
    """Return how many bits two runs ended up with that are not the same."""
    total = 0
    for name in ("model.safetensors", "state.safetensors"):
        pair = [
            np.frombuffer((zoo.open_run(f).last.path / name).read_bytes(), np.uint8)
            for f in (one, other)
        ]
        if len(pair[0]) != len(pair[1]):
            return -1
        total += int(np.unpackbits(pair[0] ^ pair[1]).sum())
    return total


def warm(folder: Path, backend: str) -> float:
    """Make the run that is left alone, import all that it did, and return how long one takes."""
    backends.load(backend)
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    undisturbed(folder / "whole", backend, 2)
    for name in (folder / "modules.txt").read_text().split():
        with contextlib.suppress(Exception):  # what is no module by its name
            importlib.import_module(name)
    began = time.monotonic()
    undisturbed(folder / "again", backend, 0)
    assert differing_bits(folder / "again", folder / "whole") == 0
    return time.monotonic() - began


def killed_once(
    folder: Path, backend: str, longest: float, draw: random.Random, seen: Seen
) -> bool:
    """Go on with a run and kill it: whenever, or soon after it has come to its steps."""
    child = started(folder, backend, draw.randrange(4), seen)
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0.02, longest))
    else:
        end, steps, first = time.monotonic() + 20 * longest, draw.randrange(1, 2 * STEPS), 0
        while time.monotonic() < end and (not first or seen.step < first + steps):
            first = first or seen.step
            time.sleep(0.001)
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        time.sleep(draw.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def main(
    folder: Path,
    wanted: int,
    backend: str = "torch",
    seed: int = 0,
    keep: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Kill ``wanted`` times, in rounds, and return what became of them.

    Args:
        folder: for the runs.
        wanted: how often.
        backend: what trains.
        seed: of the moments.
        keep: called with the result after each round.
    """
    longest = warm(folder, backend)
    draw, seen = random.Random(seed), Seen()
    whole, killed = folder / "whole", folder / "killed"
    found: dict[str, Any] = {
        "kills": 0, "in_the_middle_of_an_epoch": 0, "before_the_first_step": 0, "rounds": 0,
        "lost_at_most_an_epoch": True, "differing_bits": 0, "logs_differ": 0, "left_behind": [],
    }  # fmt: skip
    while found["kills"] < wanted:
        shutil.rmtree(killed, ignore_errors=True)
        for _ in range(min(KILLS, wanted - found["kills"])):
            before = progress(killed)[0]
            if before >= EPOCHS - 1:
                break
            if not killed_once(killed, backend, longest, draw, seen):
                continue
            found["kills"] += 1
            found["in_the_middle_of_an_epoch"] += seen.step % STEPS > 0
            found["before_the_first_step"] += seen.step == 0
            epoch, logged = progress(killed)
            # The log is written just before the checkpoint: they differ by the epoch that was lost.
            if epoch < before or logged - epoch > 1 or seen.step // STEPS - epoch > 1:
                found["lost_at_most_an_epoch"] = False
        while progress(killed)[0] < EPOCHS:
            undisturbed(killed, backend, draw.randrange(4))
        found["rounds"] += 1
        found["differing_bits"] += differing_bits(killed, whole)
        found["logs_differ"] += zoo.open_run(killed).steps != zoo.open_run(whole).steps
        found["left_behind"] += sorted(files(killed) - files(whole))
        keep(found)
    return found


def record(path: Path, backend: str, found: dict[str, Any]) -> None:
    """Put what was found into a file beside what other frameworks have there."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    ).stdout.strip()  # fmt: skip
    kept[backend] = {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "processor": processor().get("brand_raw"),
        "versions": backends.load(backend).describe(),
        **found,
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kills", type=int)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    keep = partial(record, args.json, args.backend) if args.json else lambda _: None
    result = main(args.folder, args.kills, args.backend, args.seed, keep)
    print(json.dumps(result))
    sys.exit(bool(result["differing_bits"] or result["left_behind"]))
