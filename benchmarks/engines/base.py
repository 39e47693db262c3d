"""What an engine is: a network of ours or of a peer, in one run-time, that runs batches of images.

A process of `engines.serve` builds one; `engines.forward` and `engines.deploy` list them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np

IMAGE_SIZE = (224, 224)
BATCHES = (1, 32)
PATIENCE = 4.0
"""Engines whose calls take more seconds than this run as few as will do."""

Run = Callable[[], np.ndarray]
"""One forward pass, which is over when its logits are in memory that NumPy reads."""


@dataclass(frozen=True)
class Network:
    """A built network: its size, and how to bind it to a batch of images."""

    parameters: int
    bind: Callable[[np.ndarray], Run]


@dataclass(frozen=True)
class Task:
    """What an engine is built for.

    Attributes:
        model: a name of `zoo.list_models`.
        threads: how many it may use.
        material: the folder that ``material.py`` filled: the peers' weights and exports. Without
            it networks have the weights that they start with.
    """

    model: str
    threads: int
    material: Path | None = None


Function = Literal["peer", "mindcv"]
"""Whose network an engine computes: torchvision's or pytorchcv's, or MindCV's."""


@dataclass(frozen=True)
class Engine:
    """A row of the tables of engines.

    Attributes:
        about: what it is, for people.
        build: makes it, in its own process.
        side: whose code: ours or a peer's.
        runtime: what it runs in; engines of one run-time are compared with each other.
        optimized: whether ours is rewritten for inference; a peer is what its user makes of it.
        function: whose network it computes, and so which material its logits are checked with.
        batches: those that it is for.
        alone: whether it times things while it is built, and so needs the machine for itself.
        extra: whether it is measured only when asked for by its name.
    """

    about: str
    build: Callable[[Task], Network]
    side: Literal["zoo", "peer"] = "zoo"
    runtime: str = ""
    optimized: bool = True
    function: Function = "peer"
    batches: tuple[int, ...] = BATCHES
    alone: bool = False
    extra: bool = False


class NoPeerError(LookupError):
    """The other library has no network of this name."""


class NotRunnableError(RuntimeError):
    """An engine cannot run here; tells what is missing."""


def material(task: Task, name: str) -> Path:
    """Return a file of the material, or raise `NoPeerError` where the peer has no such network."""
    if task.material is None:
        raise ValueError("this engine needs material: deploy.py prepares it")
    path = task.material / name
    if not path.exists():
        raise NoPeerError(f"no {name}: the peer has no {task.model}")
    return path


def exported_parameters(task: Task) -> int:
    """Return how many parameters the peer has; its export may have folded some away."""
    return int(json.loads(material(task, "peer.json").read_text())["parameters"])


def split(x: np.ndarray, size: int) -> list[np.ndarray]:
    """Return views of a batch, ``size`` images each."""
    return [x[i : i + size] for i in range(0, len(x), size)]


class Fastest:
    """Of several ways to run one batch the fastest, as someone who tunes by hand picks it.

    The first call makes all of them ready, the second one times and picks: the two may be apart, so
    that the machine is quiet at the second.
    """

    CALLS = 5

    def __init__(self, candidates: Sequence[Run]) -> None:
        self.candidates = list(candidates)
        self.ready = False

    def __call__(self) -> np.ndarray:
        """Run the batch."""
        if len(self.candidates) == 1:
            return self.candidates[0]()
        if not self.ready:
            self.ready = True
            return [run() for run in self.candidates][-1]
        self.candidates = [min(self.candidates, key=self._typical)]
        return self.candidates[0]()

    def _typical(self, run: Run) -> float:
        times = []
        for _ in range(self.CALLS):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return median(times)
