"""What the process of `zoo.benchmark`'s engines serves: calls of a network on one batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from zoo.bench.worker import measure

# The import of a framework is measured: nothing that loads one is imported up here.


def load(
    *, backend: str, optimize: bool, network: str, images: str, logits: str
) -> tuple[Callable[..., dict[str, Any]], dict[str, Any]]:
    """Import, build and run an engine once; return what runs it, and the seconds of each step.

    Args:
        backend: the engine.
        optimize: whether to run the form for inference, see `zoo.create`.
        network: a file of weights with the spec inside.
        images: an .npy file of float32 (N, C, H, W).
        logits: where the first call's logits go, as .npy.
    """
    begun = time.perf_counter()
    import backends

    engine = backends.load(backend)
    imported = time.perf_counter()
    import numpy as np

    import weights
    from zoo import models

    checkpoint, x = weights.load_weights(network), np.load(images)
    read = time.perf_counter()
    model = models.create(
        checkpoint.spec,
        backend=cast(backends.Name, backend),
        weights=checkpoint,
        optimize=optimize,
    )
    built = time.perf_counter()
    found = engine.predict(model, x)[0]
    ran = time.perf_counter()
    np.save(logits, found)

    def run(seconds: float) -> dict[str, Any]:
        return {"times": measure(lambda: engine.predict(model, x), seconds)}

    return run, {
        "import_seconds": imported - begun,
        "build_seconds": built - read,
        "first_run_seconds": ran - built,
        "about": engine.describe(),
    }
