"""Adopted graphs that are networks of our families, up to names and the order of channels.

What moves channels is traced away (`zoo.passes.conventions.trace`); what computes is paired, and
compared exactly. The presets come first, each channel by channel and then up to an order of
channels; then every other combination of the family's conventions, the nearest to a preset first.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np

from zoo.adoption.candidates import (
    choices,
    combinations,
    nearest,
    similar,
    told_by,
    with_norms,
    without_dropout,
)
from zoo.adoption.comparing import Comparison, compare, renamed
from zoo.adoption.ranks import with_our_ranks
from zoo.adoption.sized import in_numbers, padding_of_one_size, with_global_pool
from zoo.arch import Graph, Operator, Spec
from zoo.arch.graph import shape_read
from zoo.arch.operators import Flatten, ReLU
from zoo.arch.spec import Conventions
from zoo.errors import GraphError, SpecError
from zoo.families import base_model
from zoo.passes import match_channels, match_weights
from zoo.passes.conventions.trace import Trace, trace

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Recognized:
    """What an adopted graph turned out to be.

    Attributes:
        spec: the network.
        graph: the graph as it was adopted, with the ranks that ours have.
        nodes: our name of a node that computes → theirs.
        channels: of those whose channels are in another order: for each of ours, which of theirs.
        values: the same of arrays, value by value.
        notes: what is to be known of it.
    """

    spec: Spec
    graph: Graph
    nodes: Mapping[str, str]
    channels: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    notes: tuple[str, ...]

    @classmethod
    def as_read(cls, spec: Spec) -> Recognized:
        """Return what was read, as itself."""
        return cls(
            spec, spec.graph, {node.name: node.name for node in spec.graph.nodes}, {}, {}, ()
        )

    def arrays(self, theirs: Mapping[str, T]) -> dict[str, T]:
        """Return what there is of each array of the adopted graph, under our names."""
        return {
            f"{ours}.{role}": theirs[f"{name}.{role}"]
            for ours, name in self.nodes.items()
            for role in self.spec.graph.by_name[ours].op.parameters()
        }


def recognize(graph: Graph) -> Recognized | str | None:
    """Return which network of a family a graph is.

    A text tells which it nearly is and the first thing that differs. None: it is not even near.
    """
    ranked = with_our_ranks(graph)
    known, notes = with_global_pool(ranked)
    found = _recognize(known, notes)
    if notes and not isinstance(found, Recognized):  # windows that are as large by chance
        as_it_is = _recognize(ranked, ())
        return as_it_is if isinstance(as_it_is, Recognized) else found
    return found


def _recognize(known: Graph, notes: tuple[str, ...]) -> Recognized | str | None:
    near: Comparison | None = None
    for entry in similar(known):
        has_some = hasattr(entry, "dropout") or hasattr(entry, "stochastic_depth")
        bare, drops = (known, []) if has_some else without_dropout(known)
        theirs = trace(bare)
        spec = told_by(bare, entry, theirs)
        found = _Search(bare, theirs, spec).run() if spec else None
        if found is not None and (found.is_same or found.is_permuted):
            if not drops:
                return _recognized(found, known, notes)
            return f"near {_told(found.spec)}: differs at {drops[0]}: it has no dropout"
        near = near or found
    return f"near {_told(near.spec)}: differs at {near.difference(known)}" if near else None


def _told(spec: Spec) -> str:
    return f"{base_model(spec) or spec.family} ({spec.conventions_told})"


def _recognized(found: Comparison, graph: Graph, notes: tuple[str, ...]) -> Recognized:
    notes += padding_of_one_size(found.graph, graph, found.names)
    if found.is_same:
        return Recognized(found.spec, graph, found.names, {}, {}, notes)
    came = renamed(graph, found.names)
    orders = match_channels(came, found.graph)
    numbers = {name: np.arange(prod(p.shape)) for name, p in came.parameters.items()}
    shaped = {name: numbers[name].reshape(p.shape) for name, p in came.parameters.items()}
    matched = match_weights(came, found.graph, shaped)
    values = {
        name: array.ravel()
        for name, array in matched.items()
        if not np.array_equal(array.ravel(), numbers[name])
    }
    channels = {
        name: order.made
        for name, order in orders.items()
        if not np.array_equal(order.made, np.arange(len(order.made)))
    }
    first = next(iter(values), "").rpartition(".")[0]
    notes += (
        f"the channels of {first} ({found.names.get(first)}) and others are in another order: "
        f"{len(values)} arrays are permuted",
    )
    return Recognized(found.spec, graph, found.names, channels, values, notes)


class _Search:
    """Of the conventions of a network, those in which it is an adopted one."""

    def __init__(self, graph: Graph, theirs: Trace, spec: Spec) -> None:
        self._graph, self._theirs, self._spec = graph, theirs, spec
        self._operators = _computing(graph)
        self._counted: dict[Conventions, Counter[Operator] | None] = {}
        self._tried: dict[Conventions, Comparison | None] = {}

    def run(self) -> Comparison | None:
        """Return the network that it is, or else the nearest; None if none is even alike."""
        own = list(self._spec.presets.values())
        presets = list(dict.fromkeys(with_norms(preset, self._graph) for preset in own))
        presets.sort(key=lambda conventions: conventions not in own)
        found = self._first(presets)
        if found is None:
            found = self._first(list(self._others(presets)))
        compared = [result for result in self._tried.values() if result is not None]
        return found or min(compared, key=lambda result: result.distance, default=None)

    def _first(self, considered: list[Conventions]) -> Comparison | None:
        tried = []
        for conventions in considered:
            result = self._compare(conventions)
            if result is not None:
                if result.is_same:
                    return result
                tried.append(result)
        return next((result for result in tried if result.is_permuted), None)

    def _others(self, presets: list[Conventions]) -> Iterator[Conventions]:
        """Yield every combination of conventions.

        Those that only move channels are combined where the operators are theirs. Where they never
        are, it is none of them: there are only those that are one field from a preset.
        """
        fields = choices(self._spec.conventions_type)
        start = min(presets, key=self._unlike)
        there = self._unlike(start)
        computing = {
            name: values
            for name, values in fields.items()
            if any(
                self._operators_of(dataclasses.replace(start, **{name: value}))
                != self._operators_of(start)
                for value in values
            )
        }
        moving = {name: values for name, values in fields.items() if name not in computing}
        admitted = combinations(start, computing, presets)
        least = min(map(self._unlike, admitted), default=there)
        for conventions in admitted:
            if self._unlike(conventions) == least:
                found = combinations(conventions, moving, presets)
                yield from (c for c in found if not least or nearest(c, presets) <= 1)
                if least:
                    return

    def _compare(self, conventions: Conventions) -> Comparison | None:
        if conventions not in self._tried:
            self._tried[conventions] = None
            spec = dataclasses.replace(self._spec, conventions=conventions)
            with suppress(GraphError, SpecError):
                self._tried[conventions] = compare(spec, self._graph, self._theirs)
        return self._tried[conventions]

    def _operators_of(self, conventions: Conventions) -> Counter[Operator] | None:
        if conventions not in self._counted:
            self._counted[conventions] = None
            spec = dataclasses.replace(self._spec, conventions=conventions)
            with suppress(GraphError, SpecError):
                self._counted[conventions] = _computing(spec.expand())
        return self._counted[conventions]

    def _unlike(self, conventions: Conventions) -> int:
        found = self._operators_of(conventions)
        if found is None:
            return self._operators.total()
        return (found - self._operators).total() + (self._operators - found).total()


def _computing(graph: Graph) -> Counter[Operator]:
    """Return the operators, as they are at this size, but for those that a trace leaves out."""
    shapes = graph.shapes()
    kept = (n for n in graph.nodes if not isinstance(n.op, ReLU | Flatten))
    return Counter(
        in_numbers(n.op, shape_read(n, shapes)) for n in kept if n.op.traits.channels != "moved"
    )
