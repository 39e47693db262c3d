"""What became of mutants, counted: a table by backend and level, and the others by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from zoo.proof.levels import LEVELS
from zoo.proof.mutants.run import Verdict


def counts(verdicts: Iterable[Verdict]) -> tuple[int, int, int]:
    """Return how many were killed, how many could have been, and how many are equivalent."""
    found = list(verdicts)
    equivalent = sum(v.status == "equivalent" for v in found)
    return sum(v.status == "killed" for v in found), len(found) - equivalent, equivalent


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the score as Markdown."""
    return "\n".join([*_table(verdicts), "", *_survivors(verdicts), "", *_equivalents(verdicts)])


def score(verdicts: Sequence[Verdict]) -> str:
    """Return the score in a few lines: by backend, and what went unseen by name."""
    lines = []
    for backend in dict.fromkeys(v.backend for v in verdicts):
        own = [v for v in verdicts if v.backend == backend]
        killed, possible, _ = counts(own)
        exact = sum(v.exact for v in own if v.status == "killed")
        lines.append(
            f"{backend}: {killed} of {possible} mistakes seen, {exact} of them named at their place"
        )
    unseen = [v for v in verdicts if v.status in ("survived", "raised")]
    return "\n".join([*lines, *(f"unseen {line[2:]}" for line in _grouped(unseen))])


def _table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    levels = [name for name in LEVELS if any(v.level == name for v in verdicts)]
    yield f"| backend | {' | '.join(levels)} | all | at the lowest level | named at the place |"
    yield f"|---|{'---|' * (len(levels) + 3)}"
    for backend in dict.fromkeys(v.backend for v in verdicts):
        own = [v for v in verdicts if v.backend == backend]
        cells = [_share([v for v in own if v.level == level]) for level in (*levels,)]
        killed = [v for v in own if v.status == "killed"]
        lowest = sum(v.killed_at == v.level for v in killed)
        exact = sum(v.exact for v in killed)
        yield (
            f"| {backend} | {' | '.join(cells)} | {_share(own)} | {_of(lowest, len(killed))} | "
            f"{_of(exact, len(killed))} |"
        )


def _share(verdicts: Sequence[Verdict]) -> str:
    killed, possible, _ = counts(verdicts)
    return _of(killed, possible) if possible else "–"


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def _survivors(verdicts: Sequence[Verdict]) -> Iterator[str]:
    found = [v for v in verdicts if v.status in ("survived", "raised")]
    yield f"Survived: {len(found) or 'none'}."
    yield from _grouped(found)


def _equivalents(verdicts: Sequence[Verdict]) -> Iterator[str]:
    found = [v for v in verdicts if v.status == "equivalent"]
    share = 100 * len(found) / max(len(verdicts), 1)
    yield f"Equivalent, which nobody could see: {len(found)} of {len(verdicts)} ({share:.1f} %)."
    yield from _grouped(found)


def _grouped(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a line for each mutation of a network, with its nodes and backends."""
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for v in verdicts:
        groups.setdefault((v.network, v.operator, v.mutation, v.note), []).append(v)
    for (network, operator, mutation, note), own in groups.items():
        nodes = ", ".join(dict.fromkeys(v.node for v in own))
        where = ", ".join(dict.fromkeys(v.backend for v in own))
        yield f"- {network}, {operator}, {mutation}: at {nodes} ({where}){f': {note}' * bool(note)}"
