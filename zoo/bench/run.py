"""`zoo.benchmark`: latency, throughput, memory, start and error of a network on several engines."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import backends as engines_of
from zoo.arch.spec import require_positive
from zoo.bench.engine import (
    ROUNDS,
    Engine,
    EngineError,
    Turn,
    speeds,
    take_turns,
    undisturbed,
)
from zoo.bench.measurement import Contender, Failure, Measurement
from zoo.bench.report import BenchmarkReport
from zoo.bench.work import Work, prepare
from zoo.errors import UnknownNameError, ZooError
from zoo.families import model_name
from zoo.families import spec as spec_of
from zoo.loading import Network, Source, opened, resolve
from zoo.machine import cores, machine, version
from zoo.output import Progress

DEFAULT = ("torch", "mindspore", "onnx", "openvino")
"""The engines that are measured if installed; NumPy's float64 reference is slow."""


def benchmark(
    model: Network,
    *,
    backends: Sequence[str] | None = None,
    batches: Sequence[int] = (1, 32),
    optimize: bool | None = None,
    threads: int | None = None,
    seconds: float = 2.0,
    weights: Source | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **overrides: Any,
) -> BenchmarkReport:
    """Measure inference of a network: latency, throughput, memory, first call and error.

    Each engine has a process of its own at each batch size. They take turns in rounds, so that what
    slows the machine down slows all of them, and a ratio is taken within a round.

    Args:
        model: whatever `create` takes.
        backends: names of backends; by default those of `DEFAULT` that are installed.
        batches: images a call; each is measured by itself.
        optimize: measure the form for inference (see `create`) or the other one; by default both.
        threads: processors that each engine keeps to; by default all that this process may use.
        seconds: of measuring for each engine and batch size; a call is never cut.
        weights: as for `create`; if not given, ones that let every mistake show.
        seed: of everything that is drawn.
        progress: told of every step; for progress bars.
        **overrides: fields of the spec, see `spec`; ``image_size`` among them.

    Raises:
        UnknownNameError: a model, backend or override that does not exist.
        BackendNotInstalledError: a backend that was asked for is missing.
        SpecError, GraphError: a batch size or a field of the spec that does not fit.
        WeightsError: the weights cannot be read or do not fit.
        ZooError: ``threads`` or ``seconds`` out of range.

    Example:
        >>> report = benchmark("shufflenet_v1_0.5x_g3", backends=["torch"])  # doctest: +SKIP
        >>> print(report.summary())  # doctest: +SKIP
    """
    forms = _forms(backends, optimize)
    sizes = _batches(batches)
    count = _threads(threads)
    if not 0 < seconds < math.inf:
        raise ZooError(f"seconds (={seconds:g}) must be more than 0")
    name = model if isinstance(model, str) else None
    model = opened(model)
    wanted, found = spec_of(model, **overrides), None
    if weights is not None:
        wanted, found = resolve(model, weights, overrides, adapt=False, seed=seed)
    steps = _Steps(progress, len(sizes) * len(forms) * (ROUNDS + 2))
    steps("the reference, NumPy in float64", done=False)
    host = machine()
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        work = prepare(Path(folder), wanted, found, seed)
        measurements: list[Measurement] = []
        failures: list[Failure] = []
        about: dict[str, Mapping[str, str]] = {}
        for batch in sizes:
            measured = _measure(work, forms, batch, count, seconds, steps)
            measurements += measured[0]
            failures += measured[1]
            about |= measured[2]
            # What fails for few images fails for many.
            forms = [form for form in forms if form not in {f.form for f in measured[1]}]
    return BenchmarkReport(
        model=name or model_name(wanted),
        spec=json.loads(wanted.to_json()) | {"sha256": wanted.sha256},
        made_with={
            "parity-zoo": version("parity-zoo"),
            "image_size": list(wanted.graph.image_size),
            "threads": count,
            "seconds": seconds,
            "rounds": ROUNDS,
            "weights": "drawn" if weights is None else _told(weights),
            "seed": seed,
            "machine": dataclasses.asdict(host),
        },
        engines=about,
        measurements=tuple(measurements),
        failures=tuple(failures),
    )


def _measure(
    work: Work,
    forms: Sequence[Contender],
    batch: int,
    threads: int,
    seconds: float,
    steps: _Steps,
) -> tuple[list[Measurement], list[Failure], dict[str, Mapping[str, str]]]:
    """Return the measurements at one batch size, what failed, and what the backends tell."""
    failures: list[Failure] = []

    def failed(form: Contender, error: EngineError) -> None:
        failures.append(Failure(form, batch, str(error)))

    with ExitStack() as stack:
        jobs, running = {}, {}
        for form in forms:
            steps(f"batch {batch}: starting {form.label}")
            jobs[form] = work.job(form, batch, threads)
            try:
                running[form] = Engine(jobs[form])
            except EngineError as error:
                failed(form, error)
                continue
            stack.callback(running[form].close)
        steps(f"batch {batch}: measuring", done=False)
        turns = take_turns(running, seconds=seconds, failed=failed, step=steps)
    about = {form.backend: engine.started["about"] for form, engine in running.items()}
    base = next(iter(turns.values()), {})
    measurements = [
        _measurement(form, batch, running[form], taken, base, work.error(jobs[form]))
        for form, taken in turns.items()
    ]
    return measurements, failures, about


def _measurement(
    form: Contender,
    batch: int,
    engine: Engine,
    turns: Mapping[int, Turn],
    base: Mapping[int, Turn],
    error: float,
) -> Measurement:
    """Return what the turns of an engine come to, and those of the first engine beside them."""
    calls = [call for turn in undisturbed(turns) for call in turn.times]
    low, middle, high = (float(q) for q in np.quantile(calls, (0.25, 0.5, 0.75)))
    ratios, *_ = speeds(turns, base)
    return Measurement(
        form=form,
        batch=batch,
        seconds=middle,
        quartiles=(low, high),
        calls=len(calls),
        rounds={i: median(turn.times) for i, turn in turns.items()},
        taken={i: turn.taken for i, turn in turns.items()},
        speed=median(ratios),
        speed_range=(min(ratios), max(ratios)),
        peak_bytes=engine.peak_bytes,
        error=error,
        **{key: took for key, took in engine.started.items() if key != "about"},
    )


class _Steps:
    """Counts steps for a progress bar; called without a text it keeps the last one."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total = progress, total
        self.done, self.what = 0, ""

    def __call__(self, what: str = "", *, done: bool = True) -> None:
        self.what = what or self.what
        if self.progress:
            self.progress(self.what, self.done, self.total)
        self.done += done


def _forms(names: Sequence[str] | None, optimize: bool | None) -> list[Contender]:
    """Return the engines that are meant; whatever is wrong with the request is raised here."""
    if names is None:
        names = [name for name in DEFAULT if not engines_of.missing_packages(name)]
        if not names:
            raise ZooError(
                f"none of {', '.join(DEFAULT)} is installed: {engines_of.remedy('torch')}; "
                "backends=['numpy'] (--backends numpy) needs nothing"
            )
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not names:
        raise UnknownNameError("backends must name at least one backend")
    for name in names:
        engines_of.require_installed(name)
    wanted = (False, True) if optimize is None else (optimize,)
    return [Contender(name, optimized) for name in names for optimized in wanted]


def _batches(batches: Sequence[int]) -> list[int]:
    for batch in batches:
        require_positive("batch", batch)
    if not batches:
        raise ZooError("batches must name at least one batch size")
    return sorted(set(batches))


def _threads(threads: int | None) -> int:
    available = cores()
    if threads is None:
        return available
    if not isinstance(threads, int) or not 1 <= threads <= available:
        raise ZooError(
            f"threads (={threads!r}) must be from 1 to {available}, the processors that this "
            "process may use"
        )
    return threads


def _told(weights: Source) -> str:
    return str(weights) if isinstance(weights, str | Path) else "given as arrays"
