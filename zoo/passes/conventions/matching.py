"""Pairing the couplings of two graphs: which groups correspond, and then which channels.

Once the groups of all mixing nodes are paired, pairing couplings is counting: as many of each
signature on both sides, taken in sorted order. That the groups correspond one to one as they are
numbered is tried first. Where it fails they are told apart by color refinement (as in tests of
graph isomorphism: a group's color is told by the couplings in it, a coupling's by its groups, until
nothing changes) and, where that leaves a choice, by trying. So a refusal is a proof: there is no
order of channels. Hashes only decide what is tried; what is found is checked exactly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from zoo.passes.conventions.coupling import Couplings, Layout


@dataclass(frozen=True, eq=False, slots=True)
class Cells:
    """The couplings of a graph by signature.

    Attributes:
        rows: (cells, marks): each signature once, in the order of the first coupling that has it.
        counts: (cells,): how many couplings have it.
        of: (couplings,): the cell of each coupling.
    """

    rows: np.ndarray
    counts: np.ndarray
    of: np.ndarray


def cells(found: Couplings) -> Cells:
    """Return the cells of a graph's couplings."""
    of = np.array(_numbered(_keys(found.signatures), {}))
    first = np.unique(of, return_index=True)[1]
    return Cells(found.signatures[first], np.bincount(of), of)


def match_groups(source: Cells, target: Cells, plan: Layout, marks: int) -> np.ndarray | None:
    """Return for each group of the target that of the source, or None if there is no pairing.

    Args:
        source: the cells of the graph that there is.
        target: the cells of the graph that is wanted.
        plan: the layout of both.
        marks: how many columns of the signatures must agree.
    """
    same = np.arange(plan.groups)
    if _agree(source, target, plan, marks, same):
        return same
    # Where there is a choice, the way back must make the same one: always search in one direction.
    if source.rows.tobytes() > target.rows.tobytes():
        found = _Search(target, source, plan, marks).run()
        return None if found is None else np.argsort(found)
    return _Search(source, target, plan, marks).run()


def match_couplings(source: Cells, target: Cells, plan: Layout, groups: np.ndarray) -> np.ndarray:
    """Return for each coupling of the target that of the source, the groups being paired so."""
    known: dict[bytes, int] = {}
    of_target = np.array(_numbered(_keys(target.rows), known))[target.of]
    renamed = renumber(source.rows, plan, groups)
    of_source = np.array(_numbered(_keys(renamed), known))[source.of]
    pairs = np.empty(len(of_target), int)
    pairs[np.argsort(of_target, kind="stable")] = np.argsort(of_source, kind="stable")
    return pairs


def renumber(rows: np.ndarray, plan: Layout, groups: np.ndarray) -> np.ndarray:
    """Return the source's signatures with its groups called as those of the target."""
    columns = _group_columns(plan, len(plan.marks))
    name = np.append(np.argsort(groups), -1).astype(rows.dtype)  # -1, absent, stays so
    renamed = rows.copy()
    renamed[:, columns] = name[rows[:, columns]]
    return renamed


def _agree(source: Cells, target: Cells, plan: Layout, marks: int, groups: np.ndarray) -> bool:
    ours, theirs = (
        _counted(target.rows[:, :marks], target.counts),
        _counted(renumber(source.rows, plan, groups)[:, :marks], source.counts),
    )
    return ours == theirs


def _counted(rows: np.ndarray, counts: np.ndarray) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    for key, count in zip(_keys(rows), counts.tolist(), strict=True):
        found[key] += count
    return found


def _keys(rows: np.ndarray) -> list[bytes]:
    """Return each row as a value that can be looked up."""
    width = rows.itemsize * rows.shape[1]
    whole: list[bytes] = np.ascontiguousarray(rows).view(f"V{width}").ravel().tolist()
    return whole


def _numbered(keys: list[bytes], known: dict[bytes, int]) -> list[int]:
    return [known.setdefault(key, len(known)) for key in keys]


def _group_columns(plan: Layout, marks: int) -> list[int]:
    return [i for i, mark in enumerate(plan.marks[:marks]) if mark.what in ("reads", "makes")]


class _Search:
    """Color refinement over the groups of both graphs, with trying where it leaves a choice."""

    def __init__(self, source: Cells, target: Cells, plan: Layout, marks: int) -> None:
        self._arguments = source, target, plan, marks
        self._groups = plan.groups
        grouped = _group_columns(plan, marks)
        plain = [i for i in range(marks) if i not in set(grouped)]
        known: dict[bytes, int] = {}
        cell, port, group, kinds, counts = [], [], [], [], []
        for side, found in enumerate((target, source)):
            entries = found.rows[:, grouped]
            where = np.nonzero(entries >= 0)
            cell.append(where[0] + side * len(target.rows))
            port.append(where[1])
            group.append(entries[where] + side * plan.groups)
            kinds += _numbered(_keys(found.rows[:, plain]), known)
            counts.append(found.counts)
        # One entry for each group that a cell enters or leaves.
        self._cell, self._group = np.concatenate(cell), np.concatenate(group)
        self._salt = _mix(np.concatenate(port).astype(np.uint64))
        self._kind = _mix(np.array(kinds, np.uint64))
        self._count = np.concatenate(counts).astype(np.uint64)[self._cell]
        border = len(target.rows)
        self._hopeless = not np.array_equal(
            np.bincount(kinds[:border], target.counts, len(known)),
            np.bincount(kinds[border:], source.counts, len(known)),
        )

    def run(self) -> np.ndarray | None:
        """Return the source's group for each of the target's, or None."""
        if self._hopeless:
            return None
        _, _, plan, marks = self._arguments
        colors = np.arange(self._groups, dtype=np.uint64)  # what no mark tells apart stays
        for i in _group_columns(plan, marks):
            mark = plan.marks[i]
            colors[mark.first : mark.first + mark.groups] = mark.first
        return self._solve(_mix(np.tile(colors, 2)))

    def _solve(self, colors: np.ndarray) -> np.ndarray | None:
        colors = self._refine(colors)
        ours, theirs = colors[: self._groups], colors[self._groups :]
        if not np.array_equal(np.sort(ours), np.sort(theirs)):
            return None
        _, inverse, sizes = np.unique(ours, return_inverse=True, return_counts=True)
        open_groups = np.flatnonzero(sizes[inverse] > 1)
        if not len(open_groups):
            groups = np.empty(self._groups, int)
            groups[np.argsort(ours)] = np.argsort(theirs)
            return groups if _agree(*self._arguments, groups) else None
        group = open_groups[0]
        for other in sorted(np.flatnonzero(theirs == ours[group]), key=lambda i: i != group):
            tried = colors.copy()
            tried[[group, self._groups + other]] = _mix(tried[[group]] + np.uint64(1))
            found = self._solve(tried)
            if found is not None:
                return found
        return None

    def _refine(self, colors: np.ndarray) -> np.ndarray:
        """Return colors that tell all groups apart that differ in what is in them."""
        distinct = 0
        while len(np.unique(colors)) > distinct:
            distinct = len(np.unique(colors))
            cells = self._kind.copy()
            np.add.at(cells, self._cell, _mix(colors[self._group] + self._salt))
            cells = _mix(cells)
            told = _mix(colors)
            np.add.at(told, self._group, self._count * _mix(cells[self._cell] + self._salt))
            colors = _mix(told)
        return colors


def _mix(x: np.ndarray) -> np.ndarray:
    """Return a hash of each value (the finalizer of splitmix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed
