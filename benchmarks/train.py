"""Images a second in training, ours in both frameworks beside the published loop of system A.

Each engine is a process of its own; they take turns, a block of steps each, and the ratios are
those within a round. What feeds them is measured too: how long the steps wait for images, and how
many images a second each pipeline makes by itself.

    python benchmarks/train.py            # writes benchmarks/results/train.json
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import published_loop
import typer
from published_loop import BATCH
from recording import RESULTS, machine, save

PUBLISHED = "published"
ENGINES = {
    PUBLISHED: "the published loop, PyTorch eager",
    "torch": "ours, PyTorch eager, channels last",
    "torch-compile": "ours, torch.compile",
    "torch-compile-bf16": "ours, torch.compile, bfloat16",
    "torch-compile-bf16-x2": "the same in two processes of one thread (torchrun)",
    "mindspore": "ours, MindSpore graph mode",
}
TARGET = 1.5
IMAGES = 4096
WARM_UP = 3
"""Steps that compile, allocate and start the workers."""


def material() -> tuple[np.ndarray, np.ndarray]:
    """Return images like CIFAR's in number of pixels; what is on them costs no time."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    return pixels, draw.integers(0, 10, IMAGES)


class Turns:
    """Called after every step: lets so many of them pass as a line of the standard input says."""

    def __init__(self) -> None:
        self.left, self.count, self.started = WARM_UP, 0, 0.0

    def __call__(self, *_: object) -> None:
        """Count a step; where the block is done, tell its images a second and wait."""
        self.left -= 1
        if self.left:
            return
        rate = BATCH * self.count / (time.perf_counter() - self.started)
        print(rate if self.count else "ready", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise SystemExit
        self.left = self.count = int(line)
        self.started = time.perf_counter()


def serve(engine: str) -> None:
    """Train without end, in turns."""
    pixels, labels = material()
    turn = Turns()
    if engine == PUBLISHED:
        import torch

        torch.set_num_threads(2)
        for _ in published_loop.steps(pixels, labels):
            turn()
    import zoo
    from zoo.data import ArrayImages, Dataset, Split

    backend, *how = engine.split("-")
    precision = "bfloat16" if "bf16" in how else "float32"
    data = Dataset("noise", Split(ArrayImages(pixels), labels, tuple("abcdefghij")), None)
    with tempfile.TemporaryDirectory() as folder:
        zoo.train(
            "cifar10_opengenus", data, Path(folder) / "run", backend=backend, progress=turn,
            compiled="compile" in how, workers=1, epochs=10_000, drop_last=True,
            precision=precision,
        )  # fmt: skip


def pipelines() -> dict[str, float]:
    """Return the images a second that each pipeline makes of CIFAR's, by itself."""
    import backends
    from zoo.data import ArrayImages
    from zoo.data.batches import batches
    from zoo.recipes import recipe

    pixels, _ = material()
    images, transforms = ArrayImages(pixels), recipe("cifar10_opengenus").train
    order = np.arange(IMAGES)
    how: dict[str, Any] = {"batch_size": 128, "seed": 0, "epoch": 1}
    makers = {
        "numpy": lambda: batches(images, transforms, order, workers=1, **how),
        "torchvision": lambda: backends.trainable("torch").batches(
            images.picture, transforms, order, workers=2, **how
        ),
        "mindspore.dataset": lambda: backends.trainable("mindspore").batches(
            images.picture, transforms, order, workers=1, **how
        ),
    }
    found = {}
    for name, make in makers.items():
        sum(len(batch) for batch in make())
        started = time.perf_counter()
        count = sum(len(batch) for batch in make())
        found[name] = count / (time.perf_counter() - started)
    return found


def compared(ours: list[float], theirs: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def main(
    engines: Annotated[str, typer.Option(help="Names, by comma.")] = ",".join(ENGINES),
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Of a block.")] = 8,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = RESULTS / "train.json",
) -> None:
    """Measure."""
    if worker is not None:
        serve(worker)
        return
    names = engines.split(",")
    processes = {}
    for name in names:
        both = name.endswith("-x2")
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        processes[name] = subprocess.Popen(
            [sys.executable, *(launcher if both else ()), __file__, "--worker", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1" if both else "2"},
        )  # fmt: skip
        assert processes[name].stdout.readline().strip() == "ready", f"{name} died"
        print(f"{name}: ready", flush=True)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name, process in processes.items():
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            rates[name].append(float(process.stdout.readline()))
        print(number + 1, {name: round(r[-1]) for name, r in rates.items()}, flush=True)
    for process in processes.values():
        process.terminate()  # torchrun ends those that it started
    report: dict[str, Any] = {
        "recipe": "cifar10_opengenus", "batch": 128, "threads": 2, "rounds": rounds,
        "steps_per_block": steps, "target": TARGET,
        "machine": machine(["torch", "torchvision", "mindspore", "numpy"]),
        "images_per_second": {
            name: {"what": ENGINES[name], "rounds": rates[name], "median": median(rates[name])}
            for name in names
        },
        "ratios": {
            name: {
                "median": median(ratios := compared(rates[name], rates[PUBLISHED])),
                "least": min(ratios), "greatest": max(ratios),
            }
            for name in names
            if name != PUBLISHED and PUBLISHED in names
        },
        "pipelines": pipelines(),
    }  # fmt: skip
    save(out, report)
    for name, ratio in report["ratios"].items():
        verdict = "passed" if ratio["median"] >= TARGET else "missed"
        print(f"{name}: {ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['greatest']:.2f}) "
              f"of the published loop, {verdict} ({TARGET})")  # fmt: skip
    print({name: round(rate) for name, rate in report["pipelines"].items()})


if __name__ == "__main__":
    typer.run(main)
