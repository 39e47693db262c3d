"""What converting a PyTorch checkpoint to a MindSpore one costs: time, memory, imports.

    python benchmarks/convert.py        # half a minute

Time is a ratio: each conversion is timed beside a copy of the same arrays through safetensors
(load and save), in turns, so that what disturbs one disturbs the other. Both write to the same
folder. Memory is that of a process of its own: the growth of its resident set over what it has
after its imports, at the peak. Writes ``benchmarks/results/convert.json``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from recording import RESULTS, console, grid, save
from safetensors.numpy import load_file, save_file

import zoo
from weights import randomize, save_weights
from zoo.bench.engine import Engine
from zoo.bench.worker import Job, peak_bytes

MODEL = "shufflenet_v1_2.0x_g3"
FRAMEWORKS = ("torch", "mindspore", "onnx", "onnxruntime")


def main(
    rounds: Annotated[int, typer.Option(help="Pairs of runs.")] = 21,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS / "convert.json",
) -> None:
    """Measure, write down and print."""
    spec = zoo.spec(MODEL)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, plain = folder / "theirs.pth", folder / "plain.safetensors"
        save_weights(source, spec, randomize(spec.graph), dialect="megvii")
        save_weights(plain, spec, randomize(spec.graph))
        jobs: dict[str, Callable[[], Any]] = {
            "convert": lambda: zoo.convert(source, folder / "ours.ckpt", verify=None, force=True),
            "convert, other conventions": lambda: zoo.convert(
                source, folder / "paper.ckpt", conventions="paper", verify=None, force=True
            ),
            "convert and verify": lambda: zoo.convert(source, folder / "ours.ckpt", force=True),
        }
        ratios = {name: paired(job, lambda: copied(plain), rounds) for name, job in jobs.items()}
        memory = {
            "convert": growth(folder, source, False),
            "convert and verify": growth(folder, source, True),
        }
        size = source.stat().st_size
    results = {
        "model": MODEL,
        "file_bytes": size,
        "rounds": rounds,
        "times_of_a_copy": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "memory_of_the_file": {name: round(m["growth"] / size, 2) for name, m in memory.items()},
        "frameworks_imported": memory["convert and verify"]["frameworks"],
    }
    save(out, results)
    title = f"{MODEL}.pth → .ckpt, {size / 2**20:.1f} MiB"
    table = grid(title, "", "time / copy through safetensors", "memory / size of the file")
    for name, ratio in ratios.items():
        share = results["memory_of_the_file"].get(name)
        table.add_row(name, f"{ratio:.1f}", "" if share is None else f"{share:.1f}")
    console.print(table)
    typer.echo(f"frameworks imported: {results['frameworks_imported'] or 'none'}")


def copied(path: Path) -> None:
    """Copy a file of arrays through safetensors."""
    save_file(load_file(path), path.with_name("copy.safetensors"))


def paired(job: Callable[[], Any], beside: Callable[[], Any], rounds: int) -> float:
    """Return the median over rounds of the time of one job divided by that of the other."""
    ratios = []
    for _ in range(rounds + 2):
        seconds = []
        for run in (job, beside):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return median(ratios[2:])


def growth(folder: Path, source: Path, verified: bool) -> dict[str, Any]:
    """Return the growth of a process in bytes, and the frameworks that it imported."""
    tiny = zoo.spec("shufflenet_v1_0.5x_g3", num_classes=2, stage_repeats=(1, 1, 1))
    small = folder / "small.pth"
    save_weights(small, tiny, randomize(tiny.graph), dialect="megvii", force=True)
    arguments = {"small": str(small), "source": str(source), "verified": verified}
    engine = Engine(Job("convert:converted", arguments))
    engine.close()
    return engine.started


def converted(small: str, source: str, verified: bool) -> tuple[None, dict[str, Any]]:
    """Convert in a process of its own; return how much it grew, and what it imported.

    The first conversion is of a small network: it does all imports, so that the growth is that of
    the arrays alone.
    """
    options: dict[str, Any] = {"force": True} | ({} if verified else {"verify": None})
    zoo.convert(small, f"{small}.ckpt", **options)
    before = psutil.Process().memory_info().rss
    zoo.convert(source, f"{source}.ckpt", **options)
    loaded = sorted(set(sys.modules) & set(FRAMEWORKS))
    return None, {"growth": peak_bytes() - before, "frameworks": loaded}


if __name__ == "__main__":
    typer.run(main)
