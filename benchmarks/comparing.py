"""What deploy.py compares: the fastest of a group of engines over the fastest of another.

A row of a group names two engines; its ratio is taken within the rounds that both ran. Which engine
is a group's fastest is told by the medians of the tournament, and between its two fastest by those
of the finals where both were in them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.base import BATCHES, Engine
from engines.deploy import COMPILE, EAGER, ENGINES, MINDSPORE, OPENVINO, ORT
from records import Record, ratio, typical

NEAR = 1.1
"""Engines whose time is at most this many times the fastest's go on to the finals ..."""
FINALISTS = 3
"""... up to so many a side and batch, but two in any case."""


@dataclass(frozen=True)
class Comparison:
    """A question: how many times as fast as ``base`` is ``engines``?

    Attributes:
        about: the question in words.
        engines, base: the groups, by name.
        final: whether its engines are to be in the finals.
        targets: batch → what the ratio is to be at least; other batches are told without a target.
        aims: batch → what we would like.
        batches: those that are compared.
    """

    about: str
    engines: tuple[str, ...]
    base: tuple[str, ...]
    final: bool = False
    targets: Mapping[int, float] = field(default_factory=dict)
    aims: Mapping[int, float] = field(default_factory=dict)
    batches: tuple[int, ...] = BATCHES


def group(side: str, runtime: str | None = None, *, optimized: bool = True) -> tuple[str, ...]:
    """Return the engines of a side (in a run-time) that compute the PyTorch peer's function."""

    def belongs(engine: Engine) -> bool:
        return (
            engine.side == side
            and engine.function == "peer"
            and engine.optimized == optimized
            and runtime in (None, engine.runtime)
        )

    return tuple(name for name, engine in ENGINES.items() if belongs(engine))


def comparisons(model: str) -> list[Comparison]:
    """Return the questions about a network, those with targets first."""
    v2 = model.startswith("shufflenet_v2")
    least = {1: 1.12, 32: 1.2} if v2 else {1: 1.15, 32: 1.15}
    aims = dict.fromkeys(BATCHES, 1.5 if v2 else 1.3)
    # What a peer's own code and the run-times' own calls give; taking a batch in parts is ours.
    as_exported = tuple(name for name in group("peer") if not name.endswith("-streams"))
    ours, peer, mindcv = group("zoo"), ("peer-torch",), ("zoo-mindspore-mindcv",)
    as_shipped, capped = ("peer-mindcv",), ("peer-mindcv-capped",)
    limit = "MindSpore over MindCV with the same oneDNN limit"
    parts = "fastest path, the peer's batch taken in parts by hand"
    eager, wide = "PyTorch eager over the peer's, NCHW", {32: 1.8} if v2 else {}
    beside = "MindSpore over the peer's PyTorch eager, NCHW"
    return [
        Comparison("fastest path", ours, as_exported, True, least, aims),
        Comparison(parts, ours, group("peer"), True, batches=(32,)),
        Comparison(eager, group("zoo", EAGER), peer, True, wide),
        Comparison("MindSpore over MindCV as installed", mindcv, as_shipped, False, {32: 10.0}),
        Comparison(limit, mindcv, capped, True, dict.fromkeys(BATCHES, 1.5)),
        Comparison(beside, ("zoo-mindspore",), peer, True, dict.fromkeys(BATCHES, 1.4)),
        *(
            Comparison(f"{runtime}, ours over the peer's", *pair)
            for runtime in (EAGER, COMPILE, ORT, OPENVINO)
            if all(pair := (group("zoo", runtime), group("peer", runtime)))
        ),
        *(
            Comparison(f"{runtime}, optimized over as trained", *pair)
            for runtime in (EAGER, ORT, OPENVINO, MINDSPORE)
            if all(pair := (group("zoo", runtime), group("zoo", runtime, optimized=False)))
        ),
    ]


def ranking(records: Mapping[str, Record], names: Collection[str], batch: int) -> list[str]:
    """Return those engines that ran a batch in the tournament, the fastest first."""
    ran = [name for name in names if name in records and records[name].tournament(batch)]
    return sorted(ran, key=lambda name: typical(records[name].tournament(batch)))


def fastest(records: Mapping[str, Record], names: Collection[str], batch: int) -> str | None:
    """Return the fastest engine of a group, if any ran."""
    ranked = ranking(records, names, batch)
    finalists = [name for name in ranked if records[name].finals(batch)]
    if len(ranked) > 1 and set(ranked[:2]) <= set(finalists):
        # A third that was near may have come out first.
        return min(finalists, key=lambda name: typical(records[name].finals(batch)))
    return ranked[0] if ranked else None


def finalists(records: Mapping[str, Record], model: str, batches: Collection[int]) -> set[str]:
    """Return the engines that go on: the fastest of each side, and those of fixed questions."""
    found: set[str] = set()
    for batch in batches:
        for side in ("zoo", "peer"):
            ranked = ranking(records, group(side), batch)[:FINALISTS]
            times = [typical(records[name].tournament(batch)) for name in ranked]
            found.update(ranked[:2])
            found |= {n for n, t in zip(ranked, times, strict=True) if t <= NEAR * times[0]}
        for comparison in comparisons(model):
            pairs = (comparison.engines, comparison.base) if comparison.final else ()
            found |= {name for names in pairs for name in ranking(records, names, batch)[:2]}
    return found


def compare(records: Mapping[str, Record], model: str) -> list[dict[str, Any]]:
    """Return the answers that the measured engines allow."""
    rows = []
    for question in comparisons(model):
        for batch in question.batches:
            ours = fastest(records, question.engines, batch)
            theirs = fastest(records, question.base, batch)
            if ours is None or theirs is None:
                continue
            row = {"about": question.about, "batch": batch, "engine": ours, "base": theirs}
            row |= _ratio(records[ours], records[theirs], batch, question.targets.get(batch))
            if batch in question.aims:
                row["aim"] = question.aims[batch]
            rows.append(row)
    return rows


def _ratio(ours: Record, theirs: Record, batch: int, target: float | None) -> dict[str, Any]:
    if ours.finals(batch).keys() & theirs.finals(batch).keys():
        return {"stage": "finals"} | ratio(ours.finals(batch), theirs.finals(batch), target)
    pair = ours.tournament(batch), theirs.tournament(batch)
    return {"stage": "tournament"} | ratio(*pair, target)
