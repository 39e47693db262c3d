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

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from engines import BATCHES, IMAGE_SIZE
from engines.base import Task
from engines.forward import ENGINES
from machine import machine
from records import Record, ratio, verdict
from rich.console import Console
from rich.table import Table
from workers import EngineError, Worker

HERE = Path(__file__).parent
THREADS = 2
LIBRARIES = ("torch", "mindspore", "pytorchcv", "mindcv", "numpy")


@dataclass(frozen=True)
class Comparison:
    """How many times as fast as ``base`` the engine is, and what we want that to be at least."""

    engine: str
    base: str
    targets: dict[int, float]


COMPARISONS = (
    Comparison("torch", "pytorchcv", {1: 1.0, 32: 1.0}),
    Comparison("mindspore", "torch", {1: 1.0, 32: 1.0}),
    Comparison("mindspore", "mindcv", {32: 6.0}),
    Comparison("mindspore", "mindcv-graph", {}),
    Comparison("mindspore", "mindcv-capped", {1: 1.15, 32: 1.15}),
    Comparison("torch-split", "torch", {}),
    Comparison("mindspore-split", "mindspore", {}),
)


def launch(
    names: list[str], model: str, log: IO[bytes], console: Console
) -> tuple[list[Worker], dict[str, str]]:
    """Start the engines, one after the other; return them and why others cannot be measured."""
    workers, skipped = [], {}
    for name in names:
        console.print(f"starting {name}", style="dim")
        worker = Worker(name, Task(model, THREADS), log)
        if worker.skipped is None:
            workers.append(worker)
        else:
            skipped[name] = worker.skipped
            worker.close()
    return workers, skipped


def measure(
    workers: list[Worker], records: dict[str, Record], number: int, rounds: int, seconds: float
) -> None:
    """Run the rounds of one launch."""
    for batch in BATCHES:
        taking_part = [w for w in workers if not records[w.name].is_done(batch)]
        for worker in taking_part:
            worker.run(batch, 0.0)  # compiles and warms up; not counted
        for i in range(rounds):
            # Back and forth, so that a steady drift favors nobody.
            for worker in taking_part if i % 2 == 0 else taking_part[::-1]:
                if not records[worker.name].is_done(batch):
                    worker.measure(records[worker.name], batch, (number, i), seconds)


def compare(records: dict[str, Record]) -> list[dict[str, Any]]:
    """Return the comparisons that the measured engines allow, with ratios and verdicts."""
    measured = {name: record for name, record in records.items() if record.seconds}
    found = []
    for comparison in COMPARISONS:
        if not {comparison.engine, comparison.base} <= measured.keys():
            continue
        for batch in BATCHES:
            ours, theirs = measured[comparison.engine], measured[comparison.base]
            row = {"engine": comparison.engine, "base": comparison.base, "batch": batch}
            row |= ratio(ours, theirs, batch)
            if batch in comparison.targets:
                row |= verdict(row["ratio"], comparison.targets[batch])
            found.append(row)
    return found


def tables(results: dict[str, Any], console: Console) -> None:
    """Print the times, the ratios and the verdicts."""
    title = f"{results['model']}, 224×224, float32, {THREADS} threads"
    times = Table(title=title)
    for header in ("engine", "what it is", "batch 1, ms", "batch 32, ms", "batch 32, images/s"):
        times.add_column(header, justify="left" if header[0] in "ew" else "right")
    for name, engine in results["engines"].items():
        one, many = (engine["milliseconds"][str(batch)] for batch in BATCHES)
        rate = engine["images_per_second"]["32"]
        times.add_row(name, engine["about"], f"{one:.1f}", f"{many:.0f}", f"{rate:.1f}")
    ratios = Table(title="speed of the one over the other: median of the rounds (smallest–largest)")
    for header in ("engine", "over", "batch", "ratio", "quiet rounds", "target", "verdict"):
        ratios.add_column(header)
    for row in results["comparisons"]:
        spread = f"{min(row['ratio_by_round']):.2f}–{max(row['ratio_by_round']):.2f}"
        target, verdict = "", ""
        if "target" in row:
            target = f"≥ {row['target']:g}"
            verdict = "[green]passed[/]" if row["passed"] else "[red]missed[/]"
            verdict += f" by {abs(row['distance_percent']):.1f} %"
            verdict += "" if row["quiet_rounds"] else ", but disturbed"
        ratio = f"{row['ratio']:.2f} ({spread})"
        count = f"{row['quiet_rounds']} of {row['rounds']}"
        ratios.add_row(row["engine"], row["base"], str(row["batch"]), ratio, count, target, verdict)
    console.print(times, ratios)
    for name, reason in results["skipped"].items():
        console.print(f"{name} was not measured: {reason}", style="yellow")


def main(
    model: Annotated[str, typer.Option(help="A name of zoo.list_models().")] = (
        "shufflenet_v1_1.0x_g3"
    ),
    launches: Annotated[int, typer.Option(min=1, help="Times that processes are started.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds a launch and batch size.")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of a block; a call is never cut.")] = 1.0,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = HERE / "results" / "forward.json",
    engines: Annotated[str, typer.Option(help="Names, by comma.")] = ",".join(ENGINES),
) -> None:
    """Measure forward passes of our networks and of other zoos' on the CPU."""
    names = engines.split(",")
    if unknown := set(names) - ENGINES.keys():
        raise typer.BadParameter(f"no engine {', '.join(sorted(unknown))}: {', '.join(ENGINES)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    records = {name: Record() for name in names}
    skipped: dict[str, str] = {}
    for number in range(launches):
        console.print(f"launch {number + 1} of {launches}", style="dim")
        workers: list[Worker] = []
        with tempfile.TemporaryFile() as log:
            try:
                workers, missing = launch(names, model, log, console)
                skipped |= missing
                measure(workers, records, number, rounds, seconds)
            except EngineError as error:
                log.seek(0)
                console.print(log.read().decode(errors="replace"), markup=False)
                raise typer.Exit(1) from error
            finally:
                for worker in workers:
                    worker.close()
        names = [worker.name for worker in workers]
    results = {
        "model": model,
        "image_size": IMAGE_SIZE,
        "dtype": "float32",
        "threads": THREADS,
        "launches": launches,
        "rounds_per_launch": rounds,
        "seconds_per_block": seconds,
        "machine": machine(LIBRARIES),
        "engines": {
            name: {"about": ENGINES[name].about, **record.summary()}
            for name, record in records.items()
            if record.seconds
        },
        "comparisons": compare(records),
        "skipped": skipped,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    tables(results, console)
    console.print(f"written to {out}", style="dim")


if __name__ == "__main__":
    typer.run(main)
