"""The zoo's own names: canonical ones, which are PyTorch's, and those of its MindSpore cells."""

from __future__ import annotations

from weights.dialects.dialect import Dialect, layer_patterns
from zoo.arch.catalogue import FAMILIES
from zoo.arch.spec import Spec


def own(family: type[Spec]) -> tuple[Dialect, Dialect]:
    """Return the family's canonical dialect and that of its MindSpore cells.

    Their tables map every name to itself: the patterns are read off one network of the family.
    """
    example = next(iter(FAMILIES[family].values()))
    rules = tuple((pattern, pattern) for pattern in layer_patterns(example.graph))

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
