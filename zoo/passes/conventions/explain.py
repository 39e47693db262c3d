"""Why two graphs are not the same function up to an order of channels: node, rule and values."""

from __future__ import annotations

from collections import Counter

import numpy as np

from zoo.passes.conventions.coupling import Layout, Mark
from zoo.passes.conventions.matching import Cells, match_groups, renumber


def explain(source: Cells, target: Cells, plan: Layout) -> str:
    """Return why no pairing exists: the first node, in the graph's order, that leaves none."""
    possible, impossible = 0, len(plan.marks)
    while impossible - possible > 1:
        middle = (possible + impossible) // 2
        if match_groups(source, target, plan, middle) is None:
            impossible = middle
        else:
            possible = middle
    groups = match_groups(source, target, plan, possible)
    assert groups is not None
    named = Cells(renumber(source.rows, plan, groups), source.counts, source.of)
    mark = plan.marks[possible]
    match mark.what:
        case "input":
            return f"{mark.node}: {_input(named, target, plan, possible)}"
        case "reads":
            return f"{mark.node}: {_groups(named, target, plan, possible)}"
        case "makes":
            return (
                f"{mark.node}: no order of its channels, group by group, suits the nodes that read "
                f"them"
            )
        case "order":
            return f"{mark.node}: the order of its channels cannot be kept"
        case "fixed":
            ours = {row.tobytes() for row in named.rows}
            moved = [row[possible] for row in target.rows if row.tobytes() not in ours]
            return (
                f"{_port_name(plan, min(moved))}: ties several channels of one node together, "
                f"which is converted only where none of them moves"
            )


def _input(source: Cells, target: Cells, plan: Layout, column: int) -> str:
    ours, theirs = (_read(found, plan, column) for found in (source, target))
    if ours == theirs:
        return f"must read other channels of {theirs}"
    return f"reads {ours}, must read {theirs}"


def _read(found: Cells, plan: Layout, column: int) -> str:
    """Tell what an input reads: ``24 channels of stem.pool, 96 of relu(stage2.0.expand.bn)``."""
    counts: Counter[str] = Counter()
    for code, count in zip(found.rows[:, column].tolist(), found.counts.tolist(), strict=True):
        if code == -1:
            continue
        if code >= 0:
            port, relu = divmod(code, 2)
            name = _name(plan, port)
        else:  # a channel that may not move is told exactly
            channel, relu = divmod(-2 - code, 2)
            name = _port_name(plan, channel)
        counts[f"relu({name})" if relu else name] += count
    if len(counts) == 1:
        return next(iter(counts))
    (first, count), *others = sorted(counts.items())
    return ", ".join([f"{count} channels of {first}", *(f"{n} of {name}" for name, n in others)])


def _groups(source: Cells, target: Cells, plan: Layout, column: int) -> str:
    ours, theirs = (_shares(found, plan, column) for found in (source, target))
    first = plan.marks[column].first
    for group, share in theirs.items():
        if share not in ours.values():
            other = ours[group].removesuffix(share[share.find(" channels") :])
            return (
                f"group {group - first} must read {share}; that of the source reads {other}, and "
                f"no other group fits"
            )
    return "no order of its groups suits what they read"


def _shares(found: Cells, plan: Layout, column: int) -> dict[int, str]:
    """Tell for each group of a node how many channels it reads of which groups."""
    origins = [i for i, m in enumerate(plan.marks[:column]) if m.what in ("makes", "order")]
    counts: dict[int, Counter[tuple[int, int]]] = {}
    for row, count in zip(found.rows, found.counts.tolist(), strict=True):
        group = int(row[column])
        if group >= 0:
            origin = max((i for i in origins if row[i] >= 0), default=-1)
            counts.setdefault(group, Counter())[origin, int(row[origin])] += count
    return {group: _told(counts[group], plan.marks) for group in sorted(counts)}


def _told(share: Counter[tuple[int, int]], marks: list[Mark]) -> str:
    parts = []
    for origin in sorted({origin for origin, _ in share}):
        mark = marks[origin]
        numbers = [share[origin, mark.first + i] for i in range(mark.groups)]
        if mark.what == "makes" and mark.groups > 1:
            parts.append(f"{tuple(numbers)} channels of the groups of {mark.node}")
        elif mark.what == "makes":
            parts.append(f"{numbers[0]} channels of {mark.node}")
        elif mark.what == "order":
            channels = sorted(channel for at, channel in share if at == origin)
            parts.append(f"channels {channels} of {mark.node}")
        else:
            parts.append(f"{sum(n for (at, _), n in share.items() if at == origin)} fixed channels")
    return " and ".join(parts)


def _port_name(plan: Layout, channel: int) -> str:
    return _name(plan, int(np.searchsorted(plan.starts, channel, side="right")) - 1)


def _name(plan: Layout, port: int) -> str:
    return next(name for table in (plan.made, plan.read) for name, p in table.items() if p == port)
