"""The zoo's own names: canonical ones, which are PyTorch's, and those of its MindSpore cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weights.dialects.dialect import Dialect, Skeleton, layer_patterns
from zoo.arch import Graph, Node, Shape
from zoo.arch.spec import Spec
from zoo.families.registry import kinds


class Unnamed(Dialect):
    """Our names of networks of no family: those that their layers came with."""

    def _layers(self, graph: Graph) -> Iterator[tuple[Node, str, bool]]:
        """Yield (node, its name, False) of all layers with arrays."""
        return ((node, node.name, False) for node in graph.nodes if node.op.parameters())

    def may_name(self, name: str) -> bool:
        """Return whether a layer may be called so: any may."""
        return True

    def skeleton(self, shapes: Mapping[str, Shape]) -> Skeleton:
        """Return all names as they are: which network they are of, they do not tell."""
        return Skeleton(dict(shapes), [], [])


def own(family: type[Spec]) -> tuple[Dialect, Dialect]:
    """Return the family's canonical dialect and that of its MindSpore cells.

    Their tables map every name to itself: the patterns are read off the family's networks.
    """
    patterns = (p for spec in kinds(family.family) for p in layer_patterns(spec.graph))
    rules = tuple((pattern, pattern) for pattern in dict.fromkeys(patterns))
    kind = Dialect if rules else Unnamed

    def dialect(name: str, framework: str) -> Dialect:
        return kind(
            name=name,
            family=family.family,
            source="this package",
            framework="mindspore" if framework == "mindspore" else "torch",
            rules=rules,
            conventions=None,
        )

    return dialect("zoo", "torch"), dialect("zoo_mindspore", "mindspore")
