"""Which networks of the families an adopted graph could be, in which conventions."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from zoo.adoption.pairing import pairs
from zoo.arch import Graph, Shape, Spec
from zoo.arch.operators import BatchNorm2d, Conv2d, Dropout, Linear
from zoo.arch.spec import Conventions
from zoo.errors import GraphError, SpecError
from zoo.families.registry import family_types, models
from zoo.passes.conventions.trace import Trace, trace

_UNIT = re.compile(r"(stage\d+\.\d+)\.(.+)")


def similar(graph: Graph) -> Iterator[Spec]:
    """Yield networks with as many layers of each operator, one of each structure: few, at once."""
    counts = _layers(graph)
    seen = set()
    for family in family_types():
        for entry in models(family.family).values():
            if entry.repeats <= counts.total() and any(
                _layers_of(form) == counts for form in _forms(entry, counts.total())
            ):
                structure = family, _structure(entry)
                if structure not in seen:
                    seen.add(structure)
                    yield entry


def _forms(entry: Spec, layers: int) -> Iterator[Spec]:
    """Yield a network, and those of other presets, if as many layers may be of other kinds."""
    yield entry
    if _layers_of(entry).total() == layers:
        for conventions in entry.presets.values():
            with suppress(GraphError, SpecError):
                yield dataclasses.replace(entry, conventions=conventions)


@cache
def _layers_of(entry: Spec) -> Counter[type]:
    return _layers(entry.expand())


@cache
def _structure(entry: Spec) -> tuple[tuple[str, type, tuple[str, ...]], ...]:
    return tuple((node.name, type(node.op), node.inputs) for node in entry.expand().nodes)


def _layers(graph: Graph) -> Counter[type]:
    """Count the layers of each kind; conventions may have a linear one as a convolution."""
    kinds = (type(node.op) for node in graph.nodes if node.op.parameters())
    return Counter(Conv2d if kind is Linear else kind for kind in kinds)


def told_by(graph: Graph, entry: Spec, theirs: Trace) -> Spec | None:
    """Return the network of an entry's kind that the shapes of a graph tell; None if none is.

    Its conventions are those of whichever preset has these layers, or of one with another stem,
    with which units may add that do not otherwise.
    """
    known = [entry.conventions, *entry.presets.values()]
    stems = {k: v for k, v in choices(entry.conventions_type).items() if k == "stem"}
    others = [other for start in known for other in combinations(start, stems, known)]
    for conventions in dict.fromkeys([*known, *others]):
        with suppress(GraphError, SpecError):
            start = dataclasses.replace(entry, conventions=conventions, **_read_off(graph, entry))
            names = pairs(trace(start.expand()), theirs)
            if names is None:
                continue
            outer: dict[str, Shape] = {}
            units: dict[str, dict[str, Shape]] = {}
            for ours, their_name in names.items():
                for role, parameter in graph.by_name[their_name].op.parameters().items():
                    name = f"{ours}.{role}"
                    if match := _UNIT.fullmatch(name):
                        units.setdefault(match[1], {})[match[2]] = parameter.shape
                    else:
                        outer[name] = parameter.shape
            found = entry.from_shapes(outer, list(units.values()), conventions)
            return dataclasses.replace(found, **_read_off(graph, entry))
    return None


def _read_off(graph: Graph, entry: Spec) -> dict[str, Any]:
    """Return the fields that are no choice: they stand in the graph."""
    told: dict[str, Any] = {"in_channels": graph.in_channels, "image_size": graph.image_size[0]}
    drops = [node.op for node in graph.nodes if isinstance(node.op, Dropout)]
    for field, of in (("dropout", "value"), ("stochastic_depth", "image")):
        if hasattr(entry, field):
            found = [op.p for op in drops if op.of == of]
            # Of branches each is left out by another probability, which the network's own tells.
            own = getattr(entry, field) if of == "image" else max(found, default=0.0)
            told[field] = own if found else 0.0
    return told


def without_dropout(graph: Graph) -> tuple[Graph, list[str]]:
    """Return a graph that drops nothing, in training either, and the nodes that did."""
    same: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        read = tuple(same.get(name, name) for name in node.inputs)
        if isinstance(node.op, Dropout):
            same[node.name] = read[0]
        else:
            nodes.append(dataclasses.replace(node, inputs=read))
    outputs = tuple(same.get(name, name) for name in graph.outputs)
    return dataclasses.replace(graph, nodes=tuple(nodes), outputs=outputs), list(same)


def with_norms(conventions: Conventions, graph: Graph) -> Conventions:
    """Return conventions with the numbers of the graph's first batch norm."""
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm2d):
            eps, momentum = node.op.eps, node.op.momentum
            return dataclasses.replace(conventions, bn_eps=eps, bn_momentum=momentum)
    return conventions


def choices(conventions: type[Conventions]) -> dict[str, tuple[Any, ...]]:
    """Return the fields that have few values, and these."""
    hints = typing.get_type_hints(conventions)
    found = {
        field.name: (False, True)
        if hints[field.name] is bool
        else typing.get_args(hints[field.name])
        for field in dataclasses.fields(conventions)
    }
    return {name: values for name, values in found.items() if values}


def combinations(
    start: Conventions, fields: dict[str, tuple[Any, ...]], presets: list[Conventions]
) -> list[Conventions]:
    """Return conventions with every combination of some fields, those nearest to a preset first."""
    found = []
    for values in itertools.product(*fields.values()):
        with suppress(SpecError):
            found.append(dataclasses.replace(start, **dict(zip(fields, values, strict=True))))
    return sorted(found, key=lambda conventions: nearest(conventions, presets))


def nearest(conventions: Conventions, presets: list[Conventions]) -> int:
    """Return in how many fields conventions differ from the nearest preset."""
    own = dataclasses.astuple(conventions)
    others = [dataclasses.astuple(preset) for preset in presets]
    return min(len([a for a, b in zip(own, other, strict=True) if a != b]) for other in others)
