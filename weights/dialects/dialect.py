"""What a dialect is: a table of layer names in two spellings, from which both directions follow.

A rule is a pair of patterns, canonical and theirs::

    ("stage{stage}.{unit}.expand.conv", "features.{flat}.branch_main_2.2")

``{stage}`` and ``{unit}`` are numbers, ``{flat}`` counts the units of all stages from 0, and
``{stage-2}`` or ``{unit+1}`` are what stands there when the other side counts from elsewhere.
``{index}`` counts the convolutions of a stem that has several.
``{flat:xception}`` is such a number in the rules for one kind of unit: where units are of several
kinds, one name of theirs may be another layer in each; all names of a unit are read as of one kind,
the one that knows most of them. A ``.*`` at the end of theirs says that the layer is a list of
convolutions, one a group (``….convs.0``, ``….convs.1``, …), as MindSpore's tutorial has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from weights.canonical import Weights
from zoo.arch import Graph, Node, Operator, Shape
from zoo.arch.operators import BatchNorm2d, Conv2d, GroupNorm, LayerNorm, PReLU
from zoo.errors import WeightsError

_AFFINE = {"weight": "gamma", "bias": "beta"}
_STATISTICS = {"running_mean": "moving_mean", "running_var": "moving_variance"}
MINDSPORE_ROLES: dict[type[Operator], dict[str, str]] = {
    BatchNorm2d: _AFFINE | _STATISTICS,
    LayerNorm: _AFFINE,
    GroupNorm: _AFFINE,
    PReLU: {"weight": "w"},
}
"""Operator → PyTorch's names for what it holds → MindSpore's, where it has others."""

PIECES = ".convs."
"""What stands between the name of a split convolution and the number of the group."""

_PLACEHOLDER = re.compile(r"\{(\w+)([+-]\d+)?(?::(\w+))?\}")
_NUMBER = re.compile("[0-9]+")
_REPEATED = (
    (re.compile(r"stage(?P<stage>\d+)\.(?P<unit>\d+)\.(.+)"), r"stage{stage}.{unit}.\3"),
    (re.compile(r"stem\.(?P<index>\d+)\.(.+)"), r"stem.{index}.\2"),
)
"""Canonical names of layers that repeat → their pattern."""

_CANONICAL_ROLES = {theirs: ours for ours, theirs in (_AFFINE | _STATISTICS).items()}


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
        name: as the user gives it (``--from megvii``).
        family: of the networks it names.
        source: where the code is.
        framework: whose names a batch norm's arrays have.
        rules: (canonical, theirs), see this module.
        conventions: the preset that the code base follows; None where names do not tell.
    """

    name: str
    family: str
    source: str
    framework: Literal["torch", "mindspore"]
    rules: tuple[tuple[str, str], ...]
    conventions: str | None

    @property
    def splits(self) -> bool:
        """Whether some layers are lists of convolutions."""
        return any(theirs.endswith(".*") for _, theirs in self.rules)

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
                else:
                    found[f"{theirs}.{name}"] = array
        return found

    def read(self, graph: Graph, arrays: Weights) -> Weights:
        """Return canonical weights from arrays under their names, which have to be all there."""
        return {ours: arrays[theirs] for theirs, ours in self.names(graph).items()}

    def _role(self, node: Node, role: str) -> str:
        renamed = MINDSPORE_ROLES.get(type(node.op), {}) if self.framework == "mindspore" else {}
        return renamed.get(role, role)

    def _layers(self, graph: Graph) -> Iterator[tuple[Node, str, bool]]:
        """Yield (node, their name of it, whether it is a list of convolutions with them).

        Raises:
            WeightsError: the code base has no name for a layer.
        """
        table = dict(self.rules)
        units: dict[tuple[int, int], int] = {}
        for node in graph.nodes:
            if not node.op.parameters():
                continue
            pattern, numbers = _located(node.name)
            if pattern not in table:
                raise WeightsError(
                    f"dialect {self.name} has no name for {node.name}: no {self.family} of its "
                    f"code base has such a layer"
                )
            if "unit" in numbers:
                position = numbers["stage"], numbers["unit"]
                numbers = {**numbers, "flat": units.setdefault(position, len(units))}
            theirs = _PLACEHOLDER.sub(_filled(numbers), table[pattern])
            yield node, theirs.removesuffix(".*"), theirs.endswith(".*")

    def may_name(self, name: str) -> bool:
        """Return whether a name could be one of theirs, with some numbers or others."""
        return _unnumbered(name.rpartition(".")[0]) in self._parsers

    def skeleton(self, shapes: Mapping[str, Shape]) -> Skeleton:
        """Return what their names say, without knowing which network they are of.

        Args:
            shapes: their name → shape, split convolutions taken together.
        """
        outer: dict[str, str] = {}
        units: dict[tuple[int, ...], dict[str, dict[str, str]]] = {}
        for name in shapes:
            layer, _, role = name.rpartition(".")
            if self.framework == "torch" and role in _CANONICAL_ROLES:
                continue
            role = _CANONICAL_ROLES.get(role, role)
            for pattern, kind, numbers in self._parse(layer):
                if not numbers:
                    outer[name] = f"{pattern}.{role}"
                else:
                    inside = pattern.partition("{unit}.")[2]
                    kinds = units.setdefault(numbers, {})
                    kinds.setdefault(kind, {})[name] = f"{inside}.{role}"
        known = [max(units[position].values(), key=len) for position in sorted(units)]
        named = {name for names in (outer, *known) for name in names}
        return Skeleton(
            {ours: shapes[name] for name, ours in outer.items()},
            [{ours: shapes[name] for name, ours in unit.items()} for unit in known],
            [name for name in shapes if name not in named],
        )

    @cached_property
    def _parsers(self) -> dict[str, list[tuple[re.Pattern[str], str, str, dict[str, int]]]]:
        """Their layers without the numbers → the few rules that it can be.

        A rule is (pattern, canonical pattern, kind of unit, placeholder → what to subtract).
        """
        parsers: dict[str, list[tuple[re.Pattern[str], str, str, dict[str, int]]]] = {}
        for canonical, theirs in self.rules:
            placeholders = _PLACEHOLDER.findall(theirs)
            offsets = {name: int(by or 0) for name, by, _ in placeholders}
            kind = "".join(kind for _, _, kind in placeholders)
            pattern = re.escape(theirs.removesuffix(".*"))
            for name in offsets:
                pattern = re.sub(rf"\\{{{name}.*?\\}}", rf"(?P<{name}>[0-9]{{1,4}})", pattern)
            rule = re.compile(pattern), canonical, kind, offsets
            parsers.setdefault(_unnumbered(_PLACEHOLDER.sub("0", theirs)), []).append(rule)
        return parsers

    def _parse(self, layer: str) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Yield (canonical pattern, kind of unit, position of the unit) of their layer."""
        for pattern, canonical, kind, offsets in self._parsers.get(_unnumbered(layer), ()):
            if match := pattern.fullmatch(layer):
                numbers = {
                    name: int(text) - offsets[name] for name, text in match.groupdict().items()
                }
                keys = ("flat",) if "flat" in numbers else ("stage", "unit")
                ours = canonical.replace("{index}", str(numbers.get("index")))
                yield ours, kind, tuple(numbers[key] for key in keys if key in numbers)


def layer_patterns(graph: Graph) -> tuple[str, ...]:
    """Return the canonical patterns of a family's layers, read off one of its networks."""
    layers = (node.name for node in graph.nodes if node.op.parameters())
    return tuple(dict.fromkeys(_located(name)[0] for name in layers))


def merge_pieces(arrays: Mapping[str, np.ndarray]) -> Weights:
    """Return the arrays with the pieces of split convolutions joined: they are runs of its rows.

    Raises:
        WeightsError: a piece is missing, or of another shape than its siblings.
    """
    found: Weights = {}
    pieces: dict[str, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, separator, rest = name.rpartition(PIECES)
        number, _, role = rest.partition(".")
        if not separator or not number.isdecimal() or len(number) > 4:
            found[name] = array
            continue
        whole = f"{layer}.{role}"
        found[whole] = array  # keeps the place; replaced below
        pieces.setdefault(whole, {})[int(number)] = array
    for whole, parts in pieces.items():
        layer, _, role = whole.rpartition(".")
        missing = [i for i in range(max(parts) + 1) if i not in parts]
        if missing:
            raise WeightsError(
                f"{layer}{PIECES}{missing[0]}.{role}: missing, while {layer}{PIECES}{max(parts)}"
                f".{role} is there"
            )
        shapes = {part.shape for part in parts.values()}
        if len(shapes) > 1:
            raise WeightsError(
                f"{layer}{PIECES}*.{role}: the pieces must have one shape (shapes {sorted(shapes)})"
            )
        joined = [parts[i] for i in range(len(parts))]
        found[whole] = np.concatenate(joined) if joined[0].ndim else joined[0]
    return found


def _unnumbered(layer: str) -> str:
    return _NUMBER.sub("#", layer).removesuffix(".*")


def _filled(numbers: Mapping[str, int]) -> Callable[[re.Match[str]], str]:
    return lambda match: str(numbers[match[1]] + int(match[2] or 0))


@lru_cache(maxsize=1 << 14)  # networks have the same few names, asked for by every dialect
def _located(name: str) -> tuple[str, Mapping[str, int]]:
    """Return the pattern of a canonical name, and the numbers that stand in it."""
    for place, pattern in _REPEATED:
        if match := place.fullmatch(name):
            return match.expand(pattern), {key: int(n) for key, n in match.groupdict().items()}
    return name, {}
