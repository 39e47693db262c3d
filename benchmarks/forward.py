"""Measure CPU inference beside other zoos: latency at batch 1, throughput at batch 32.

Run it from the repository's root, on a machine that does nothing else:

    python benchmarks/forward.py
    python benchmarks/forward.py --engines torch,pytorchcv --launches 6

Every engine has a process of its own, because two in one share caches, memory and thread pools.
They take turns: in each round every engine runs one block while the others sleep, so what slows
the machine down for a while slows all of them. A ratio is taken within a round, and the median of
the rounds counts. All processes are started several times, because where one happens to lie in
memory makes up to 10 %. A block in which other programs used the processor is repeated, and a round
that stayed disturbed is left out where there are others: threads of PyTorch wait for each other
actively, and one that lost its core to another program costs 5 to 200 times the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from engines import BATCHES, IMAGE_SIZE
from engines.base import Task
from engines.forward import ENGINES
from recording import RESULTS, console, machine, save, show
from records import Record, ratio
from tournament import Effort, Field

THREADS = 2
LIBRARIES = ("torch", "mindspore", "pytorchcv", "mindcv", "numpy")


COMPARISONS: tuple[tuple[str, str, dict[int, float]], ...] = (
    ("torch", "pytorchcv", {1: 1.0, 32: 1.0}),
    ("mindspore", "torch", {1: 1.0, 32: 1.0}),
    ("mindspore", "mindcv", {32: 6.0}),
    ("mindspore", "mindcv-graph", {}),
    ("mindspore", "mindcv-capped", {1: 1.15, 32: 1.15}),
    ("torch-split", "torch", {}),
    ("mindspore-split", "mindspore", {}),
)
"""How many times as fast as the second is the first, and what do we want that to be at least?"""


def compare(records: dict[str, Record]) -> list[dict[str, Any]]:
    """Return the comparisons that the measured engines allow, with ratios and verdicts."""
    return [
        {"engine": engine, "base": base, "batch": batch}
        | ratio(records[engine].turns[batch], records[base].turns[batch], targets.get(batch))
        for engine, base, targets in COMPARISONS
        if {engine, base} <= records.keys()
        for batch in BATCHES
    ]


def main(
    model: Annotated[str, typer.Option(help="A name of zoo.list_models().")] = (
        "shufflenet_v1_1.0x_g3"
    ),
    launches: Annotated[int, typer.Option(min=1, help="Times that processes are started.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds a launch and batch size.")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of a block; a call is never cut.")] = 1.0,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = RESULTS / "forward.json",
    engines: Annotated[str, typer.Option(help="Names, by comma.")] = ",".join(ENGINES),
) -> None:
    """Measure forward passes of our networks and of other zoos' on the CPU."""
    names = engines.split(",")
    if unknown := set(names) - ENGINES.keys():
        raise typer.BadParameter(f"no engine {', '.join(sorted(unknown))}: {', '.join(ENGINES)}")
    field = Field(Task(model, THREADS))
    for number in range(launches):
        console.print(f"launch {number + 1} of {launches}", style="dim")
        field.launch(names, number, Effort(rounds, seconds))
        if field.failed:
            raise typer.Exit(1)
    results = {
        "model": model,
        "image_size": IMAGE_SIZE,
        "dtype": "float32",
        "threads": THREADS,
        "launches": launches,
        "rounds_per_launch": rounds,
        "seconds_per_block": seconds,
        "machine": machine(LIBRARIES),
        "engines": field.summary(),
        "comparisons": compare(field.measured()),
        "skipped": field.skipped,
    }
    save(out, results)
    show(f"{model}, 224×224, float32, {THREADS} threads", results, BATCHES)


if __name__ == "__main__":
    typer.run(main)
