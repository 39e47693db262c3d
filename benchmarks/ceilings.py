"""What this processor can do at most with two threads, and what that means for each network.

    python benchmarks/ceilings.py       # half a minute, on a machine that does nothing else

Two ceilings are measured: float32 multiply-adds (a matrix product a thread) and the bytes that a
copy a thread reads and writes, for sizes that stay in the caches and for ones that do not. From the
cost of each network's graph come, for batch 1 and 32:

* ``arithmetic_ms``: all multiply-adds at the first ceiling. No float32 kernel without a fast
  algorithm (Winograd) goes below it.
* ``layers_ms``: layer by layer, the longer of its multiply-adds and of moving its input and output
  at the rate of a copy of that size. Only layers that must touch memory count (convolutions, pools,
  linear layers, sums): what a run-time fuses or lays out well (batch norms, ReLUs, shuffles) is
  free. A run-time that keeps values in a nearer cache across layers can go below it.

Writes ``benchmarks/results/ceilings.json``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from engines.base import BATCHES
from engines.deploy import MODELS
from engines.peers import torch_name
from recording import RESULTS, console, grid, machine, save

import zoo
from zoo.arch import Graph

THREADS = 2
FLOAT = 4
SIDES = (512, 1024, 2048)
"""Of the square matrices that are multiplied."""
COPIES = tuple(2**power for power in range(18, 32))
"""Bytes that copies read and write together: 256 KiB to 2 GiB."""
MOVING = {"Conv2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool2d", "Linear", "Add", "Mul"}
"""Operators that read and write memory however well a network is compiled."""


def main(
    seconds: Annotated[float, typer.Option(help="For each size.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS / "ceilings.json",
) -> None:
    """Measure the ceilings, and write down what they mean."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    import torch

    products = {str(side): _product(torch, side, seconds) for side in SIDES}
    copies = {size: _copy(size, seconds) for size in COPIES}
    peak = max(products.values())
    results = {
        "threads": THREADS,
        "dtype": "float32",
        "machine": machine(("torch", "numpy")),
        "gmacs_per_second": {side: round(rate / 1e9, 1) for side, rate in products.items()},
        "copy_gbytes_per_second": {str(size): round(r / 1e9, 2) for size, r in copies.items()},
        "models": {model: bounds(model, peak, copies) for model in MODELS},
    }
    save(out, results)
    _print(results)


def bounds(model: str, peak: float, copies: dict[int, float]) -> dict[str, Any]:
    """Return what a network needs, and its bounds in milliseconds by batch.

    Args:
        model: a name of `MODELS`; its conventions are those of the peer.
        peak: multiply-adds a second.
        copies: size of a copy → bytes a second.
    """
    graph = zoo.spec(model, conventions=torch_name(model)[0]).graph
    cost = zoo.cost(graph)
    layers = _layers(graph)
    found: dict[str, Any] = {
        "macs": cost.macs,
        "activation_bytes": cost.activation_bytes,
        "moved_bytes": sum(moved for _, moved in layers),
    }
    for batch in BATCHES:
        times = [
            max(batch * macs / peak, batch * moved / _rate(batch * moved, copies))
            for macs, moved in layers
        ]
        found[f"batch_{batch}"] = {
            "arithmetic_ms": round(1e3 * batch * cost.macs / peak, 3),
            "layers_ms": round(1e3 * sum(times), 3),
        }
    return found


def _layers(graph: Graph) -> list[tuple[int, int]]:
    """Return (multiply-adds, bytes read and written) for one image of each layer that moves any."""
    sizes = {node.name: node.activation_bytes for node in zoo.cost(graph).nodes}
    macs = {node.name: node.macs for node in zoo.cost(graph).nodes}
    channels, (height, width) = graph.in_channels, graph.image_size
    layers = []
    for node in graph.nodes:
        if type(node.op).__name__ in MOVING:
            image = channels * height * width * FLOAT
            moved = sum(sizes.get(name, image) for name in node.inputs) + sizes[node.name]
            layers.append((macs[node.name], moved))
    return layers


def _rate(size: int, copies: dict[int, float]) -> float:
    """Return the rate of the smallest copy that is as large; of the largest, if none is."""
    return copies[min((s for s in copies if s >= size), default=max(copies))]


def _product(torch: Any, side: int, seconds: float) -> float:
    """Return multiply-adds a second of products of two square matrices, one a thread."""

    def prepare() -> Callable[[], Any]:
        torch.set_num_threads(1)  # of this thread
        a, b, c = (torch.rand(side, side) for _ in range(3))
        return lambda: torch.mm(a, b, out=c)

    return sum(side**3 / time for time in _side_by_side(prepare, seconds))


def _copy(size: int, seconds: float) -> float:
    """Return bytes a second, read and written, of copies, one a thread."""
    part = size // THREADS
    calls = max(1, 2**21 // part)  # a call alone takes a microsecond

    def prepare() -> Callable[[], Any]:
        source = np.ones(part // 2 // FLOAT, np.float32)
        target = np.empty_like(source)

        def copy() -> None:
            for _ in range(calls):
                np.copyto(target, source)

        return copy

    return sum(calls * part / time for time in _side_by_side(prepare, seconds))


def _side_by_side(prepare: Callable[[], Callable[[], Any]], seconds: float) -> list[float]:
    """Return the seconds of a call in each thread, while all threads make such calls.

    They do not wait for each other: with a barrier after every call, the short ones would be told
    by the scheduler's ticks on a machine that is not perfectly quiet.
    """
    together = threading.Barrier(THREADS)

    def time_one(_: int) -> float:
        run = prepare()
        together.wait()
        return _usual(run, seconds)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(time_one, range(THREADS)))


def _usual(run: Callable[[], Any], seconds: float) -> float:
    """Return the seconds of the faster quarter: ceilings are not what others leave of them."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 4 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 4]


def _print(results: dict[str, Any]) -> None:
    columns = (f"batch {batch}: arithmetic, layers, ms" for batch in BATCHES)
    title = f"at most {max(results['gmacs_per_second'].values())} G multiply-adds/s"
    table = grid(title, "network", "multiply-adds", "moved", *columns)
    for name, model in results["models"].items():
        cells = (model[f"batch_{batch}"] for batch in BATCHES)
        table.add_row(
            *(name, f"{model['macs'] / 1e6:.0f}M", f"{model['moved_bytes'] / 1e6:.1f} MB"),
            *(f"{cell['arithmetic_ms']:.2f}, {cell['layers_ms']:.2f}" for cell in cells),
        )
    console.print(table, results["copy_gbytes_per_second"])


if __name__ == "__main__":
    typer.run(main)
