"""What several families read off the shapes of their units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_rows
from zoo.errors import GraphError, SpecError

_UNIT = re.compile(r"(stage\d+\.\d+)\.(.+)")
S = TypeVar("S", bound=Spec)


def require_units(spec: Spec, *names: str) -> None:
    """Raise `SpecError` unless fields are lists of whole numbers with one for each unit."""
    for name in names:
        require_rows(spec, name)
        require_entries(spec, name, "unit", spec.repeats)


def require_flags(spec: Spec, name: str, what: str, count: int) -> None:
    """Raise `SpecError` unless a field is a list of booleans with one for each of ``count``."""
    row = getattr(spec, name)
    if not isinstance(row, tuple) or {type(value) for value in row} != {bool}:
        raise SpecError(f"{name} (={row!r}) must be a list of True and False")
    require_entries(spec, name, what, count)


def require_entries(spec: Spec, name: str, what: str, count: int) -> None:
    """Raise `SpecError` unless a field has so many entries."""
    row = getattr(spec, name)
    if len(row) != count:
        raise SpecError(f"{name} (={row}) must have one entry a {what}, {count}")


def stages_by_shortcut(units: Sequence[Mapping[str, Shape]]) -> tuple[list[int], list[int]]:
    """Return (channels, repeats) of the stages, told by the shapes of the units.

    A unit with a shortcut of its own begins a stage.

    Raises:
        LookupError: the first unit has none, or a layer is missing.
    """
    channels: list[int] = []
    repeats: list[int] = []
    for unit in units:
        if "shortcut.expand.conv.weight" in unit:
            branches = ("expand.conv.weight", "shortcut.expand.conv.weight")
            channels.append(sum(unit[branch][0] for branch in branches))
            repeats.append(0)
        repeats[-1] += 1
    return channels, repeats


def begun_by(name: str, units: Sequence[Mapping[str, Shape]]) -> list[list[Mapping[str, Shape]]]:
    """Return the units stage by stage: the first begins one, and each that has such a layer."""
    stages: list[list[Mapping[str, Shape]]] = []
    for unit in units:
        if not stages or name in unit:
            stages.append([])
        stages[-1].append(unit)
    return stages


def one_of(
    models: Mapping[str, S],
    outer: Mapping[str, Shape],
    units: Sequence[Mapping[str, Shape]],
    conventions: Conventions,
) -> S:
    """Return the network among some whose weights have these shapes: a `Spec.from_shapes`.

    Classes, channels of the image and the classifier's bias are those of the shapes.

    Raises:
        SpecError: it is none of them.
    """
    if "classifier.weight" in outer:
        conventions = replace(conventions, classifier_bias="classifier.bias" in outer)
        for entry in models.values():
            if entry.repeats != len(units):
                continue
            try:
                first, ours, inside = _shapes(replace(entry, conventions=conventions))
            except (GraphError, SpecError):  # conventions that the network does not admit
                continue
            same = first in outer and _common(ours, first) == _common(outer, first)
            if same and inside == tuple(dict(unit) for unit in units):
                return replace(
                    entry,
                    num_classes=outer["classifier.weight"][0],
                    in_channels=outer[first][1],
                    conventions=conventions,
                )
    family = next(iter(models.values())).family
    raise SpecError(f"the layers are not those of a {family} in the catalog")


def _common(outer: Mapping[str, Shape], first: str) -> dict[str, Shape]:
    """Return the shapes without the numbers that are the user's choice."""
    changes = {
        first: outer[first][:1] + outer[first][2:],
        "classifier.weight": outer["classifier.weight"][1:],
        "classifier.bias": (),
    }
    return {name: changes.get(name, shape) for name, shape in outer.items()}


@lru_cache(maxsize=1 << 10)
def _shapes(spec: Spec) -> tuple[str, dict[str, Shape], tuple[dict[str, Shape], ...]]:
    """Return (the first array, shapes outside of the units, shapes in each)."""
    outer: dict[str, Shape] = {}
    units: dict[str, dict[str, Shape]] = {}
    parameters = spec.graph.parameters
    for name, parameter in parameters.items():
        if match := _UNIT.fullmatch(name):
            units.setdefault(match[1], {})[match[2]] = parameter.shape
        else:
            outer[name] = parameter.shape
    return next(iter(parameters)), outer, tuple(units.values())
