"""Gives mutants to the proof and tells which it saw, at which level and under whose name."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

import backends
from backends import Runtime, Trainable
from zoo.arch import Graph
from zoo.passes import Weights
from zoo.proof.candidate import Candidate
from zoo.proof.case import make_case, without_dropout
from zoo.proof.finding import Finding
from zoo.proof.levels import LEVELS
from zoo.proof.mutants.catalog import Nodes, mutants
from zoo.proof.mutants.mutation import Mutant, Mutated
from zoo.proof.references import References

Status = Literal["killed", "survived", "equivalent", "raised"]

RUNS_PYTHON = ("numpy", "torch", "mindspore")
"""Backends that can run a changed function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutant of a network on a backend.

    Attributes:
        network: its name.
        backend: the backend's.
        operator: type of the mutated operator, or ``"graph"``.
        mutation: name of the mutation.
        kind: how it was put there.
        node: where.
        level: the lowest level that can see it.
        status: ``"killed"`` if a finding failed; ``"equivalent"`` if none did, and none could.
        killed_at: the level at which the first finding failed.
        named: the node that the proof names (of a parameter, the node that holds it).
        exact: whether that is the mutated node or its first reader (at gradients, the nearest
            parameter on the gradient's way).
        note: the measure that failed; why it is equivalent; what was raised.
        seconds: taken.
    """

    network: str
    backend: str
    operator: str
    mutation: str
    kind: str
    node: str
    level: str
    status: Status
    killed_at: str | None = None
    named: str | None = None
    exact: bool = False
    note: str = ""
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is the verdict on."""
        return (self.network, self.backend, f"{self.operator}: {self.mutation} @ {self.node}")


class Given:
    """A backend that is given other arrays, or trains by another recipe, than it was asked to."""

    def __init__(
        self,
        engine: Runtime[Any],
        arrays: Callable[[Weights], Weights],
        trainer: Callable[..., Any] | None = None,
    ) -> None:
        self._engine, self._arrays, self._trainer = engine, arrays, trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def forward(self, graph: Graph, weights: Weights, *args: Any, **kwargs: Any) -> Any:
        """As the backend's, with the other arrays."""
        return self._engine.forward(graph, self._arrays(weights), *args, **kwargs)

    def gradients(self, graph: Graph, weights: Weights, *args: Any, **kwargs: Any) -> Any:
        """As the backend's, with the other arrays."""
        assert backends.differentiates(self._engine)
        return self._engine.gradients(graph, self._arrays(weights), *args, **kwargs)

    def trainer(self, graph: Graph, weights: Weights, recipe: Any, **kwargs: Any) -> Any:
        """As the backend's, with the other arrays or recipe."""
        assert backends.trains(self._engine)
        make = self._trainer or _plain_trainer
        return make(self._engine, graph, self._arrays(weights), recipe, **kwargs)


def _plain_trainer(engine: Trainable[Any], *args: Any, **kwargs: Any) -> Any:
    return engine.trainer(*args, **kwargs)


class Bench:
    """A network and what its mutants are compared with, computed once.

    Attributes:
        name: of the network.
        graph: the network.
        references: see `zoo.proof.references`.
    """

    def __init__(
        self, name: str, graph: Graph, *, seed: int = 0, images: np.ndarray | None = None
    ) -> None:
        self.name, self.graph = name, graph
        case = make_case(graph, seed=seed, images=images, weights=None, steps=3)
        self.references = References(case)
        # NumPy has no dropout in training: there it is given networks without.
        self._settled = References(replace(case, graph=case.settled))
        self._variants: dict[str, References] = {}

    def judge(self, mutant: Mutant, backend: str) -> Verdict:
        """Return whether the proof sees a mutant, from the lowest level that can see it upward."""
        start, engine = time.perf_counter(), backends.load(backend)
        given = Given(engine, mutant.arrays, mutant.trainer)
        undrawn = backend == "numpy" and mutant.operator != "Dropout"
        references = self._settled if undrawn else self.references
        if mutant.level == "training":
            references = self._training(mutant.node)
        graph = without_dropout(mutant.graph) if undrawn else mutant.graph
        candidate = Candidate(backend, given, graph)
        told: dict[str, Any] = {"status": "survived"}
        try:
            with admitting(backend):
                for level in _levels(engine, mutant):
                    # What the levels below see is as it should be.
                    found = LEVELS[level](candidate, references)
                    failed = [f for f in found if f.status == "failed"]
                    if failed:
                        told = self._killed(mutant, failed)
                        break
        except Exception as error:
            told = {"status": "raised", "note": f"{type(error).__name__}: {error}"[:300]}
        if told["status"] == "survived" and mutant.equivalent:
            told = {"status": "equivalent", "note": mutant.equivalent}
        return Verdict(
            network=self.name,
            backend=backend,
            operator=mutant.operator,
            mutation=mutant.mutation,
            kind=mutant.kind,
            node=mutant.node,
            level=mutant.level,
            seconds=round(time.perf_counter() - start, 3),
            **told,
        )

    def _training(self, variant: str) -> References:
        """Return the references of one variant of training."""
        if variant not in self._variants:
            case = replace(self.references.case, variants=(variant,))
            self._variants[variant] = References(case)
        return self._variants[variant]

    def _killed(self, mutant: Mutant, failed: list[Finding]) -> dict[str, Any]:
        first = next((f for f in failed if f.diverges_at), failed[0])
        named = first.diverges_at or first.measure
        if named not in self.graph.by_name:
            named = named.rpartition(".")[0] or named
        if first.level == "training":  # of a mistaken optimizer no node is the place
            where = {"named": first.diverges_at or first.measure, "exact": True}
            return {"status": "killed", "killed_at": first.level, "note": first.measure, **where}
        suspects = mutant.suspects
        if first.level == "gradients":
            suspects = suspects_of_gradients(self.graph, mutant.node)
        return {
            "status": "killed",
            "killed_at": first.level,
            "named": named,
            "exact": named in suspects,
            "note": first.measure,
        }


def _levels(engine: Runtime[Any], mutant: Mutant) -> list[str]:
    """Return the levels that may see a mutant, from the lowest upward.

    Training is for its own mutants alone, and gradients are of networks without dropout.
    """
    if mutant.level == "training":
        return ["training"]
    found = list(LEVELS)
    lowest, last = found.index(mutant.level), found.index("gradients")
    if mutant.operator == "Dropout":
        last = lowest
    return [name for name in found[lowest : last + 1] if name in engine.LEVELS]


def suspects_of_gradients(graph: Graph, name: str) -> frozenset[str]:
    """Return the nodes with parameters that a mistaken gradient reaches first: its own, and before.

    A node's own parameters may have the right gradient where only what it hands on is mistaken.
    """
    found, todo = set(), [name]
    if name in graph.by_name and graph.by_name[name].op.parameters():
        found.add(name)
    seen: set[str] = set()
    while todo:
        node = graph.by_name.get(todo.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        for read in node.inputs:
            before = graph.by_name.get(read)
            if before is not None and before.op.parameters():
                found.add(read)
            else:
                todo.append(read)
    return frozenset(found)


@contextlib.contextmanager
def admitting(backend: str) -> Iterator[None]:
    """Let a backend run mutated operators, where it can."""
    if backend not in RUNS_PYTHON:
        yield
        return
    module = importlib.import_module(f"backends.{backend}.mutants")
    with module.admits(Mutated):
        yield


def carries(backend: str, mutant: Mutant) -> bool:
    """Return whether a backend can run a mutant, up to the level that sees it."""
    if mutant.kind == "function" and backend not in RUNS_PYTHON:
        return False
    if mutant.backends and backend not in mutant.backends:
        return False
    if backend == "numpy" and mutant.operator == "Dropout" and mutant.level != "forward":
        return False
    return mutant.level in backends.load(backend).LEVELS


Task = tuple[str, Mutant]
"""(backend, mutant)."""


def tasks(
    graph: Graph,
    names: Sequence[str],
    nodes: Nodes = "kinds",
    sample: int | None = None,
    level: str = "training",
) -> list[Task]:
    """Return what is to be judged of a network: on each backend each mutant that it carries.

    Args:
        graph: the network.
        names: backends.
        nodes: at which nodes each mutation is put.
        sample: at most so many, drawn by their names alone: the same whatever else there is.
        level: the highest level at which one may show first.
    """
    levels = list(LEVELS)[: list(LEVELS).index(level) + 1]
    found = [
        (name, mutant)
        for name in names
        for mutant in mutants(graph, nodes)
        if mutant.level in levels and carries(name, mutant)
    ]
    if sample is not None and sample < len(found):
        drawn = sorted(found, key=lambda task: _draw(f"{task[0]}: {task[1].key}"))[:sample]
        kept = {id(task) for task in drawn}
        found = [task for task in found if id(task) in kept]
    return found


def _draw(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def judge(bench: Bench, chosen: Iterable[Task]) -> Iterator[Verdict]:
    """Yield a verdict on each task."""
    for backend, mutant in chosen:
        yield bench.judge(mutant, backend)
