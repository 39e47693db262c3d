"""What every engine is given to do, and what it should find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import backends
import weights as arrays
from zoo.arch import Spec
from zoo.bench.measurement import Contender
from zoo.bench.worker import Job
from zoo.models import create
from zoo.proof.conditioning import well_conditioned_images, well_conditioned_weights
from zoo.proof.measure import relative_maximum

IMAGES = 4
"""A batch repeats so many different images: the reference takes its time, and is needed once."""


@dataclass(frozen=True)
class Work:
    """What every engine is given: files in a folder, and the logits it should find.

    Attributes:
        folder: where the files are.
        network: the weights, with the spec inside.
        images: float32 (`IMAGES`, C, H, W).
        logits: of these images, float64; the first output, where there are several.
    """

    folder: Path
    network: Path
    images: np.ndarray
    logits: np.ndarray

    def job(self, form: Contender, batch: int, threads: int | None) -> Job:
        """Return what the process of an engine is to run; writes the images down."""
        images = self.folder / f"images-{batch}.npy"
        if not images.exists():
            np.save(images, _repeated(self.images, batch))
        arguments = {
            "backend": form.backend,
            "optimize": form.optimized,
            "network": str(self.network),
            "images": str(images),
            "logits": str(self.folder / f"logits-{form.label}-{batch}.npy"),
        }
        return Job("zoo.bench.forward:load", arguments, threads)

    def error(self, job: Job) -> float:
        """Return max|a - ref| / max|ref| of the logits of an engine's first call."""
        logits = np.load(job.arguments["logits"])
        return relative_maximum(logits, _repeated(self.logits, len(logits)))


def prepare(folder: Path, wanted: Spec, found: arrays.Weights | None, seed: int) -> Work:
    """Return the work, with drawn images and well-conditioned weights where none are given."""
    graph = wanted.graph
    rng = np.random.default_rng(seed)
    images = well_conditioned_images(graph, IMAGES, rng)
    found = well_conditioned_weights(graph, images[:2], seed, False) if found is None else found
    network = folder / "network.safetensors"
    arrays.save_weights(network, wanted, found)
    reference = create(wanted, backend="numpy", weights=found)
    logits = backends.load("numpy").predict(reference, images)[0]
    return Work(folder, network, images, logits)


def _repeated(values: np.ndarray, count: int) -> np.ndarray:
    repeated: np.ndarray = values[np.arange(count) % len(values)]
    return repeated
