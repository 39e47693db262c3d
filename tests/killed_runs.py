"""A run that is killed again and again, and one that is left alone (tests/test_training.py).

A process that has imported everything forks: so a new start takes no seconds.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from training_material import tiny_data, tiny_recipe

import zoo

EPOCHS = 12


def go_on(folder: Path) -> None:
    """Begin or go on, in a process of its own."""
    data = tiny_data()
    if folder.exists():
        zoo.resume(folder, data=data)
        return
    zoo.train(tiny_recipe(epochs=EPOCHS), data, folder)


def started(folder: Path) -> int:
    """Return the process that goes on."""
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as silence, contextlib.redirect_stdout(silence):
            try:
                go_on(folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os._exit(0)
    return child


def progress(folder: Path) -> tuple[int, int]:
    """Return (the newest checkpoint's epoch, the epochs that the log has)."""
    try:
        run = zoo.open_run(folder)
        return run.last.epoch, len(run.epochs)
    except zoo.ZooError:
        return 0, 0


def main(folder: Path, wanted: int) -> None:
    """Kill ``wanted`` times, then let it end."""
    torch.set_num_threads(1)
    _, status = os.waitpid(started(folder / "whole"), 0)
    assert status == 0
    draw = random.Random(0)
    kills, kept = 0, True
    while kills < wanted:
        before = progress(folder / "killed")[0]
        if before >= EPOCHS - 1:  # too far for more: begin again, and keep counting
            os.rename(folder / "killed", folder / f"before-{kills}")
            before = 0
        child = started(folder / "killed")
        time.sleep(draw.uniform(0.02, 1.5))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            assert status == 0
        epoch, logged = progress(folder / "killed")
        # The log is written just before the checkpoint: they differ by the epoch that was lost.
        kept = kept and epoch >= before and logged - epoch <= 1
    while progress(folder / "killed")[0] < EPOCHS:
        _, status = os.waitpid(started(folder / "killed"), 0)
        assert status == 0
    print(json.dumps({"kills": kills, "lost_at_most_an_epoch": kept}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
