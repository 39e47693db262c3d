"""What the process of an engine serves: a network of ours or of a peer, on batches of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engines import ENGINES, IMAGE_SIZE
from engines.base import NoPeerError, NotRunnableError, Run, Task
from zoo.bench.worker import measure
from zoo.errors import ZooError

TOLERANCE = 1e-5
"""The error of a logit, as a part of the largest, from which an engine computes something else."""


def network(
    *, engine: str, model: str, threads: int, material: str | None
) -> tuple[Callable[..., dict[str, Any]] | None, dict[str, Any]]:
    """Build an engine; return what runs it, and its size or why it cannot be measured.

    Args:
        engine: a key of `ENGINES`.
        model: a name of `zoo.list_models`.
        threads: how many it may use.
        material: a folder that ``material.py`` filled. With it the engine has its weights, runs its
            images, and its logits are checked with the peer's own.
    """
    folder = None if material is None else Path(material)
    row = ENGINES[engine]
    try:
        built = row.build(Task(model, threads, folder))
    except (NoPeerError, NotRunnableError, ImportError) as error:
        return None, {"skipped": str(error)}
    found = None if folder is None else np.load(folder / f"{row.function}.npz")
    held = {} if found is None else {name: found[name] for name in ("images", "logits")}
    random = np.random.default_rng(0)
    runs: dict[int, Run] = {}
    last = np.empty(0)

    def served(batch: int, seconds: float) -> dict[str, Any]:
        def call() -> None:
            nonlocal last
            last = runs[batch]()

        if batch not in runs:
            x = random.standard_normal((batch, 3, *IMAGE_SIZE), dtype=np.float32)
            runs[batch] = built.bind(held["images"][:batch].copy() if held else x)
        times = measure(call, seconds)
        error = _error(last, held["logits"][:batch], batch) if held else None
        return {"times": times, "largest_error": error}

    return served, {"parameters": built.parameters}


def _error(logits: np.ndarray, wanted: np.ndarray, batch: int) -> float:
    """Return the largest error as a part of the largest logit, which must be that of float32."""
    if logits.dtype != np.float32:
        raise ZooError(f"batch {batch}: the logits are {logits.dtype}, not float32")
    error = float(np.abs(logits - wanted).max() / np.abs(wanted).max())
    if not error <= TOLERANCE:  # a NaN is no good either
        raise ZooError(f"batch {batch}: the logits are off by {error:.1e} of the largest")
    return error
