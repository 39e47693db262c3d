"""The zoo's own names: canonical ones, which are PyTorch's, and those of its MindSpore cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from weights.dialects.dialect import Dialect, layer_patterns
from zoo.arch.spec import Spec
from zoo.families.registry import models


def own(family: type[Spec]) -> tuple[Dialect, Dialect]:
    """Return the family's canonical dialect and that of its MindSpore cells.

    Their tables map every name to itself: the patterns are read off the family's networks.
    """
    patterns = (p for spec in _kinds(family) for p in layer_patterns(spec.graph))
    rules = tuple((pattern, pattern) for pattern in dict.fromkeys(patterns))

    def dialect(name: str, framework: str) -> Dialect:
        return Dialect(
            name=name,
            family=family.family,
            source="this package",
            framework="mindspore" if framework == "mindspore" else "torch",
            rules=rules,
            conventions=None,
        )

    return dialect("zoo", "torch"), dialect("zoo_mindspore", "mindspore")


def _kinds(family: type[Spec]) -> Iterator[Spec]:
    """Yield networks of a family that differ in more than numbers: in what they have, how many."""
    seen = set()
    for spec in models(family.family).values():
        values = (getattr(spec, field.name) for field in dataclasses.fields(spec))
        kind = tuple(
            len(value) if isinstance(value, tuple) else value
            for value in values
            if isinstance(value, bool | str | tuple)
        )
        if kind not in seen:
            seen.add(kind)
            yield spec
