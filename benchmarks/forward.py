"""Measure CPU inference beside other zoos: latency at batch 1, throughput at batch 32.

Run it from the repository's root, on a machine that does nothing else:

    python benchmarks/forward.py
    python benchmarks/forward.py --engines torch,pytorchcv --rounds 20

Every engine has a process of its own, because two in one share caches, memory and thread pools. They
take turns: in each round every engine runs one block while the others sleep, so what slows the machine
down for a while slows all of them down. A ratio is taken within a round, and its median over the rounds
is reported. A block in which other programs used the processor is repeated: PyTorch's threads wait for
each other actively, and one that has lost its core to a stranger costs 5 to 200 times the time.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import IO, Annotated, Any

import typer
from engines import ENGINES, IMAGE_SIZE
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BATCHES = (1, 32)
THREADS = 2
PATIENCE = 4.0
"""An engine whose calls take more seconds than this sits out the rounds after SLOW_ROUNDS."""
SLOW_ROUNDS = 3
QUIET = 0.1
"""Cores that other programs may keep busy during a block; otherwise it is repeated, TRIES times."""
TRIES = 10
PAUSE = 0.05
"""Seconds before a block, in which the threads of the engine before fall asleep."""
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


class Worker:
    """The process of one engine; it sleeps on its standard input until it is asked for a block."""

    def __init__(self, name: str, model: str, log: IO[bytes]) -> None:
        self.name = name
        command = [sys.executable, str(HERE / "engines.py"), name, model, str(THREADS)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.about = self._reply()
        self.waited = self.cpu_waiting = 0.0
        self.blocks: dict[int, list[float]] = {batch: [] for batch in BATCHES}
        self.strangers: dict[int, list[float]] = {batch: [] for batch in BATCHES}

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the engine {self.name} died")
        return json.loads(line)

    def run(self, batch: int, seconds: float) -> dict[str, Any]:
        """Run one block and return the engine's account of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self._reply()

    def measure(self, batch: int, seconds: float) -> None:
        """Add the median call of one block, the most undisturbed of as many as it takes."""
        tries: list[tuple[float, float]] = []
        while len(tries) < TRIES and (not tries or tries[-1][0] > QUIET):
            time.sleep(PAUSE)
            start, busy = time.perf_counter(), _busy()
            reply = self.run(batch, seconds)
            others = (_busy() - busy - reply["cpu"]) / (time.perf_counter() - start)
            tries.append((others, median(reply["times"])))
            self.waited += reply["waited"]
            self.cpu_waiting += reply["cpu_waiting"]
        others, seconds = min(tries)
        self.strangers[batch].append(others)
        self.blocks[batch].append(seconds)

    def takes_part(self, batch: int, round_: int) -> bool:
        """Return whether it is fast enough for every round, or this is one of the first."""
        return round_ < SLOW_ROUNDS or median(self.blocks[batch]) < PATIENCE

    def close(self) -> None:
        """End the process: it stops when its input does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def summary(self) -> dict[str, Any]:
        """Return what goes into the results."""
        return {
            "about": ENGINES[self.name][0],
            "parameters": self.about["parameters"],
            "milliseconds": {str(b): 1e3 * median(t) for b, t in self.blocks.items()},
            "images_per_second": {str(b): b / median(t) for b, t in self.blocks.items()},
            "seconds_by_round": {str(b): t for b, t in self.blocks.items()},
            "cores_used_by_others": {str(b): max(c) for b, c in self.strangers.items()},
            "cores_used_while_waiting": self.cpu_waiting / max(self.waited, 1e-9),
        }


def _busy() -> float:
    """Return the seconds of processor time used so far by all programs, 0 where that is unknown."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, *more = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + sum(more[:3])) / os.sysconf("SC_CLK_TCK")


def start(
    names: list[str], model: str, log: IO[bytes], console: Console
) -> tuple[list[Worker], dict[str, str]]:
    """Start the engines, one after the other; return them and why others cannot be measured."""
    workers, skipped = [], {}
    for name in names:
        console.print(f"starting {name}", style="dim")
        worker = Worker(name, model, log)
        if "skipped" in worker.about:
            skipped[name] = worker.about["skipped"]
            worker.close()
        else:
            workers.append(worker)
    return workers, skipped


def measure(workers: list[Worker], rounds: int, seconds: float, console: Console) -> None:
    """Fill in the blocks of all workers."""
    for batch in BATCHES:
        for worker in workers:
            worker.run(batch, 0.0)  # compiles and warms up; not counted
        for round_ in range(rounds):
            # Back and forth, so that a steady drift favours nobody.
            for worker in workers if round_ % 2 == 0 else workers[::-1]:
                if worker.takes_part(batch, round_):
                    worker.measure(batch, seconds)
            console.print(f"batch {batch}: round {round_ + 1} of {rounds}", style="dim")


def compare(workers: list[Worker]) -> list[dict[str, Any]]:
    """Return the comparisons that the measured engines allow, with ratios and verdicts."""
    by_name = {worker.name: worker for worker in workers}
    found = []
    for comparison in COMPARISONS:
        if not {comparison.engine, comparison.base} <= by_name.keys():
            continue
        for batch in BATCHES:
            # Both lists begin with the first round; the one of a slow engine ends sooner.
            ours, theirs = (by_name[n].blocks[batch] for n in (comparison.engine, comparison.base))
            ratios = [b / a for a, b in zip(ours, theirs, strict=False)]
            row = {
                "engine": comparison.engine,
                "base": comparison.base,
                "batch": batch,
                "ratio": round(median(ratios), 4),
                "ratio_by_round": [round(ratio, 4) for ratio in ratios],
            }
            if batch in comparison.targets:
                target = comparison.targets[batch]
                row["target"] = target
                row["passed"] = median(ratios) >= target
                row["distance_percent"] = round(100 * (median(ratios) / target - 1), 2)
            found.append(row)
    return found


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: the processor, its instruction sets, and versions."""
    cpu: dict[str, str] = {}
    if Path("/proc/cpuinfo").exists():
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        pairs = (line.partition(":")[::2] for line in first.splitlines())
        cpu = {key.strip(): value.strip() for key, value in pairs}
    flags = cpu.get("flags", "").split()
    return {
        "cpu": cpu.get("model name") or platform.processor(),
        "cpu_family_model": f"{cpu.get('cpu family', '?')}/{cpu.get('model', '?')}",
        "isa": [f for f in flags if f.startswith(("avx", "amx", "fma", "sse4"))],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


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
    for header in ("engine", "over", "batch", "ratio", "rounds", "target", "verdict"):
        ratios.add_column(header)
    for row in results["comparisons"]:
        spread = f"{min(row['ratio_by_round']):.2f}–{max(row['ratio_by_round']):.2f}"
        target = verdict = ""
        if "target" in row:
            target = f"≥ {row['target']:g}"
            verdict = "[green]passed[/]" if row["passed"] else "[red]missed[/]"
            verdict += f" by {abs(row['distance_percent']):.1f} %"
        ratio = f"{row['ratio']:.2f} ({spread})"
        count = str(len(row["ratio_by_round"]))
        ratios.add_row(row["engine"], row["base"], str(row["batch"]), ratio, count, target, verdict)
    console.print(times, ratios)
    for name, reason in results["skipped"].items():
        console.print(f"{name} was not measured: {reason}", style="yellow")
    for name, engine in results["engines"].items():
        others = max(engine["cores_used_by_others"].values())
        if others > QUIET:
            text = f"{name}: other programs kept {others:.1f} cores busy; its times are not to be trusted"
            console.print(text, style="yellow")


def main(
    model: Annotated[str, typer.Option(help="A name of zoo.list_models().")] = (
        "shufflenet_v1_1.0x_g3"
    ),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at each batch size.")] = 9,
    seconds: Annotated[float, typer.Option(help="Length of a block; a call is never cut.")] = 1.0,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = HERE / "results" / "forward.json",
    engines: Annotated[str, typer.Option(help="Names, by comma.")] = ",".join(ENGINES),
) -> None:
    """Measure forward passes of our networks and of other zoos' on the CPU."""
    names = engines.split(",")
    if unknown := set(names) - ENGINES.keys():
        raise typer.BadParameter(f"no engine {', '.join(sorted(unknown))}: {', '.join(ENGINES)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    workers: list[Worker] = []
    with tempfile.TemporaryFile() as log:
        try:
            workers, skipped = start(names, model, log, console)
            measure(workers, rounds, seconds, console)
        except RuntimeError as error:
            log.seek(0)
            console.print(log.read().decode(errors="replace"), markup=False)
            raise typer.Exit(1) from error
        finally:
            for worker in workers:
                worker.close()
    results = {
        "model": model,
        "image_size": IMAGE_SIZE,
        "dtype": "float32",
        "threads": THREADS,
        "seconds_per_block": seconds,
        "machine": machine(),
        "engines": {worker.name: worker.summary() for worker in workers},
        "comparisons": compare(workers),
        "skipped": skipped,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    tables(results, console)
    console.print(f"written to {out}", style="dim")


if __name__ == "__main__":
    typer.run(main)
