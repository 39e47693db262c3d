"""What a dialect is: a table of layer names in two spellings, from which both directions follow.

A rule is a pair of patterns, canonical and theirs::

    ("stage{stage}.{unit}.expand.conv", "features.{flat}.branch_main_2.2")

Its numbers are explained in `weights.dialects.rules`. ``{flat:xception}`` is one in the rules for
one kind of unit: where units are of several kinds, a layer may have another name in each, and one
name may be another layer. Rules without a kind are for all. A unit is of the kind that knows all
its layers, or most of their names; of several, of the one that knows the fewest beside them.
A ``.*`` at the end of theirs says that the layer is a list of convolutions, one a group
(``….convs.0``, ``….convs.1``, …), as MindSpore's tutorial has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from weights.canonical import Weights
from weights.dialects.pieces import PIECES
from weights.dialects.roles import CANONICAL, role_in
from weights.dialects.rules import Rule, located, unnumbered
from zoo.arch import Graph, Node, Shape
from zoo.arch.operators import Conv2d, Weight
from zoo.errors import WeightsError


@dataclass(frozen=True)
class Skeleton:
    """Shapes by canonical names, as far as they can be known before the network is.

    Attributes:
        outer: name → shape of what lies outside of the units (``stem.conv.weight``).
        units: the same for each unit in order, by the name inside it (``expand.conv.weight``).
        strange: their names that no rule of the dialect knows.
    """

    outer: dict[str, Shape]
    units: list[dict[str, Shape]]
    strange: list[str]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one code base names the weights of one family.

    Attributes:
        name, family: as the user gives it (``--from megvii``), and of the networks it names.
        source: where the code is.
        framework: whose names a batch norm's arrays have.
        rules: (canonical, theirs), see this module.
        conventions: the preset that the code base follows; None where names do not tell.
        deep: (units, preset), where it follows another from so many units on.
        value: what it calls an array that is a value (`Weight`): its layer is what holds it.
        aside: shell-style patterns of arrays that are no part of the network.
        value_is_row: whether such an array is a plain row, whatever it is multiplied with.
    """

    name: str
    family: str
    source: str
    framework: Literal["torch", "mindspore"]
    rules: tuple[tuple[str, str], ...]
    conventions: str | None
    deep: tuple[int, str] | None = None
    value: str = "weight"
    value_is_row: bool = False
    aside: tuple[str, ...] = ()

    def preset(self, units: int) -> str | None:
        """Return the preset that networks of so many units follow."""
        return self.deep[1] if self.deep and units >= self.deep[0] else self.conventions

    @property
    def splits(self) -> bool:
        """Whether some layers are lists of convolutions."""
        return any(rule.in_pieces for rule in self._table)

    def names(self, graph: Graph) -> dict[str, str]:
        """Return their name → canonical name, for every parameter of a network.

        Split convolutions are named as the whole they make up: see `merge_pieces`.
        """
        return {
            f"{theirs}.{self._role(node, role)}": f"{node.name}.{role}"
            for node, theirs, _ in self._layers(graph)
            for role in node.op.parameters()
        }

    def write(self, graph: Graph, weights: Weights, *, split: bool = False) -> Weights:
        """Return the arrays of a network under their names.

        Args:
            graph: the network, its group convolutions native.
            weights: that fit it.
            split: write every group convolution as a list of convolutions, also where the code
                base has native ones.
        """
        found: Weights = {}
        for node, theirs, always in self._layers(graph):
            op = node.op
            groups = op.groups if isinstance(op, Conv2d) else 1
            grouped = isinstance(op, Conv2d) and 1 < groups < op.in_channels
            for role in op.parameters():
                array, name = weights[f"{node.name}.{role}"], self._role(node, role)
                if always or (split and grouped):
                    for i, piece in enumerate(np.split(array, groups)):
                        found[f"{theirs}{PIECES}{i}.{name}"] = piece
                elif isinstance(op, Weight) and self.value_is_row:
                    found[f"{theirs}.{name}"] = array.ravel()
                else:
                    found[f"{theirs}.{name}"] = array
        return found

    def read(self, graph: Graph, arrays: Weights) -> Weights:
        """Return canonical weights from arrays under their names, which have to be all there."""
        names, expected = self.names(graph), graph.parameters
        return {ours: arrays[name].reshape(expected[ours].shape) for name, ours in names.items()}

    def shapes(self, graph: Graph) -> dict[str, Shape]:
        """Return the shape that each array of a network has there, by its canonical name."""
        found = {name: held.shape for name, held in graph.parameters.items()}
        values = (f"{node.name}.weight" for node in graph.nodes if isinstance(node.op, Weight))
        rows = values if self.value_is_row else ()
        return found | {name: (int(np.prod(found[name])),) for name in rows}

    def _role(self, node: Node, role: str) -> str:
        return self.value if isinstance(node.op, Weight) else role_in(node.op, role, self.framework)

    @cached_property
    def _table(self) -> tuple[Rule, ...]:
        return tuple(Rule(*rule) for rule in self.rules)

    @cached_property
    def _kinds(self) -> dict[str, tuple[Rule, ...]]:
        """Kind of unit → the rules for it, those of its own first; the smallest kind first."""
        within = [rule for rule in self._table if rule.in_unit]
        kinds = dict.fromkeys(rule.kind for rule in within)
        found = {
            kind: tuple(
                {
                    rule.canonical: rule
                    for rule in sorted(within, key=lambda rule: rule.kind == kind)
                    if rule.kind in (kind, "")
                }.values()
            )
            for kind in kinds
        }
        return dict(sorted(found.items(), key=lambda item: len(item[1])))

    def _kind(self, unit: str, layers: set[str]) -> str:
        """Return the kind of unit that has these layers: the smallest."""
        names = {kind: {rule.canonical for rule in rules} for kind, rules in self._kinds.items()}
        fitting = [kind for kind in names if layers <= names[kind]]
        if fitting[1:] and len(names[fitting[0]]) == len(names[fitting[1]]):
            raise WeightsError(
                f"dialect {self.name}: {unit} is a unit of two kinds, {' and '.join(fitting[:2])}"
            )
        return fitting[0] if fitting else ""

    def _layers(self, graph: Graph) -> Iterator[tuple[Node, str, bool]]:
        """Yield (node, their name of it, whether it is a list of convolutions with them).

        Raises:
            WeightsError: the code base has no name for a layer.
        """
        layers = [(node, *located(node.name)) for node in graph.nodes if node.op.parameters()]
        units: dict[tuple[int, int], set[str]] = {}
        for _, pattern, numbers in layers:
            if "unit" in numbers:
                units.setdefault((numbers["stage"], numbers["unit"]), set()).add(pattern)
        counts = {"units": len(units), "stages": len({stage for stage, _ in units})}
        places = {
            (stage, unit): (counts | {"flat": flat}, self._kind(f"stage{stage}.{unit}", inside))
            for flat, ((stage, unit), inside) in enumerate(units.items())
        }
        outer = {rule.canonical: rule for rule in self._table if not rule.in_unit}
        within = {
            kind: {rule.canonical: rule for rule in rules} for kind, rules in self._kinds.items()
        }
        for node, pattern, numbers in layers:
            table, more = outer, counts
            if "unit" in numbers:
                more, kind = places[numbers["stage"], numbers["unit"]]
                table = within.get(kind, {})
            of_stage = pattern.replace("{stage}", str(numbers.get("stage")))
            found = table.get(of_stage) or table.get(pattern)
            if found is None:
                raise WeightsError(
                    f"dialect {self.name} has no name for {node.name}: no {self.family} of its "
                    f"code base has such a layer"
                )
            yield node, found.fill({**numbers, **more}), found.in_pieces

    def may_name(self, name: str) -> bool:
        """Return whether a name could be one of theirs, with some numbers or others."""
        return unnumbered(name.rpartition(".")[0]) in self._parsers

    @cached_property
    def _parsers(self) -> dict[str, list[Rule]]:
        """Their layers without the numbers → the few rules that it can be."""
        parsers: dict[str, list[Rule]] = {}
        for rule in self._table:
            parsers.setdefault(rule.unnumbered, []).append(rule)
        return parsers

    def skeleton(self, shapes: Mapping[str, Shape]) -> Skeleton:
        """Return what their names say, without knowing which network they are of.

        Args:
            shapes: their name → shape, split convolutions taken together.
        """
        layers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name in shapes:
            layer, _, role = name.rpartition(".")
            known = "weight" if role == self.value else CANONICAL.get(role, role)
            if role in (known, self.value) or self.framework != "torch":
                layers[layer].append((name, known))
        places = self._units(layers)
        units = list(places.values())
        counts = {"units": len(units), "stages": len({first for first, *_ in places})}
        ours = dict(self._outer(layers, counts))
        named = {ours[layer]: layer for layer in ours}
        outer = {
            f"{canonical}.{role}": name
            for canonical, layer in named.items()
            for name, role in layers[layer]
        }
        within = [
            {f"{inside}.{role}": name for layer, inside in unit for name, role in layers[layer]}
            for unit in units
        ]
        taken = {name for names in (outer, *within) for name in names.values()}
        return Skeleton(
            {ours: shapes[name] for ours, name in outer.items()},
            [{ours: shapes[name] for ours, name in unit.items()} for unit in within],
            [name for name in shapes if name not in taken],
        )

    def _units(self, layers: Iterable[str]) -> dict[tuple[int, ...], list[tuple[str, str]]]:
        """Return the units by place: (their layer, the name inside the unit) of each layer."""
        kinds: dict[tuple[int, ...], dict[str, dict[str, str]]] = {}
        own: set[tuple[int, ...]] = set()
        for layer in layers:
            rules = [(rule, rule.read(layer)) for rule in self._parsers.get(unnumbered(layer), ())]
            for rule, numbers in rules:
                if not rule.in_unit or numbers is None:
                    continue
                inside, place = rule.canonical.partition("{unit}.")[2], (*rule.stage, *numbers)
                if all(other.in_unit or read is None for other, read in rules):
                    own.add(place)
                for kind in [rule.kind] if rule.kind else self._kinds:
                    names = kinds.setdefault(place, {}).setdefault(kind, {})
                    if rule.kind or layer not in names:
                        names[layer] = inside
        sizes = {kind: len(rules) for kind, rules in self._kinds.items()}
        # What has no layer that is a unit's alone is none: timm counts a last convolution on.
        claims = sorted(
            (-len(names), sizes[kind], place, kind)
            for place, found in kinds.items()
            if place in own
            for kind, names in found.items()
        )
        units: dict[tuple[int, ...], list[tuple[str, str]]] = {}
        taken: set[str] = set()
        for _, _, place, kind in claims:  # a layer is of one unit: of that which knows more
            names = kinds[place][kind]
            if place not in units and not taken & names.keys():
                units[place] = list(names.items())
                taken |= names.keys()
        return dict(sorted(units.items()))

    def _outer(self, layers: Iterable[str], counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        """Yield (their layer, its canonical name) of those outside of the units.

        Of numbers that count the units, the right one comes first (``features.18`` may be a last
        convolution, or its batch norm, of other networks), and what has none before what has some.
        """
        for layer in layers:
            found = []
            for rule in self._parsers.get(unnumbered(layer), ()):
                if not rule.in_unit and (numbers := rule.read(layer)) is not None:
                    counted = "{units" in rule.pattern or "{stages" in rule.pattern
                    exact = not counted or rule.fill(counts) == layer
                    name = rule.canonical if counted else rule.ours(numbers)
                    found.append((not exact, len(numbers), name))
            if found:
                yield layer, min(found)[2]


def layer_patterns(graph: Graph) -> tuple[str, ...]:
    """Return the canonical patterns of a family's layers, read off one of its networks."""
    layers = (node.name for node in graph.nodes if node.op.parameters())
    return tuple(dict.fromkeys(located(name)[0] for name in layers))
