"""What blocks of one class differ in: numbers become arguments of its constructor, few of them.

A column is the value that a place in the code has in each of the blocks. What always is the same is
written out, what varies together is one argument, and what follows from another (half of the
channels, or what the other branch leaves of them) is computed from it.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zoo.blocks.idioms import REQUIRED
from zoo.blocks.layout import literal

Column = tuple[object, ...]

CHANNELS = {"in_channels", "out_channels", "num_features", "groups", "channels", "start", "stop"}
CHANNELS |= {"in_features", "out_features"}
"""Labels of values that are computed from one another."""


@dataclass(frozen=True)
class Place:
    """A value in the code of a class: what it is, in which child, and in each block."""

    label: str
    child: str
    column: Column
    default: object = REQUIRED


@dataclass(frozen=True)
class Parameter:
    """An argument of the constructor."""

    name: str
    column: Column
    default: object = REQUIRED

    @property
    def annotation(self) -> str:
        """Its type."""
        kinds = {type(value).__name__ for value in self.column}
        if kinds == {"tuple"}:
            sizes = {len(v) for v in self.column if isinstance(v, tuple)}
            return "tuple[int, int]" if sizes == {2} else "tuple[int, ...]"
        plain = sorted(kinds - {"tuple"})
        return " | ".join([*plain, *(["tuple[int, int]"] if "tuple" in kinds else [])])


@dataclass
class Arguments:
    """The arguments of a class and how its values are written with them.

    Attributes:
        parameters: in the order of the signature.
        local: names that the constructor computes, and how.
    """

    parameters: list[Parameter] = field(default_factory=list)
    local: list[tuple[str, str]] = field(default_factory=list)
    written: dict[Column, str] = field(default_factory=dict)

    def text(self, column: Column) -> str:
        """Return the expression for a value."""
        if len(set(column)) == 1:
            return literal(column[0])
        return self.written[column]


def choose(places: Sequence[Place], read: Column | None, made: Column | None) -> Arguments:
    """Return the arguments of a class with these places.

    Args:
        places: the values in its code.
        read: the channels of what a block takes, where that is one value.
        made: the channels of what it returns.
    """
    varying = [place for place in places if len(set(place.column)) > 1]
    first = {place.column: place for place in reversed(varying)}
    uses = Counter(place.column for place in varying)
    found = Arguments()
    known: dict[str, Column] = {}

    def add(place: Place, name: str) -> None:
        same = [p for p in varying if p.column == place.column]
        default = same[0].default if same else REQUIRED
        if any(p.default != default for p in same) or default not in place.column:
            default = REQUIRED
        found.parameters.append(Parameter(name, place.column, default))
        found.written[place.column] = known_name(name, place.column)

    def known_name(name: str, column: Column) -> str:
        known[name] = column
        return name

    ends = {"channels": read} if read == made else {"in_channels": read, "out_channels": made}
    known_ends = {n: c for n, c in ends.items() if c is not None and len(set(c)) > 1}
    derived = {
        word
        for place in varying
        if place.label in CHANNELS and place.column not in known_ends.values()
        for word in (_derive(place.column, known_ends) or "").split()
    }
    for name, column in known_ends.items():
        if (column in uses or name in derived) and column not in found.written:
            add(Place("channels", "", column), name)
    for place in sorted(first.values(), key=varying.index):
        if place.column in found.written:
            continue
        text = _derived(place, known)
        if text is None:
            add(place, _free(place, known))
        elif uses[place.column] > 1 and place.label in CHANNELS:
            name = _free(place, known, "mid_channels")
            found.local.append((name, text))
            found.written[place.column] = known_name(name, place.column)
        else:
            found.written[place.column] = text
    needed = [p for p in found.parameters if p.default is REQUIRED]
    found.parameters = needed + [p for p in found.parameters if p.default is not REQUIRED]
    return found


def _free(place: Place, known: dict[str, Column], preferred: str = "") -> str:
    """Return a name for a value that none has yet."""
    child = re.sub(r"\W", "_", place.child)
    label = "channels" if place.label in ("in_channels", "out_channels") else place.label
    named = f"{label}_{child}" if child[:1].isdigit() else f"{child}_{label}".lstrip("_")
    candidates = [preferred or place.label, named]
    numbered = (f"{candidates[1]}_{i}" for i in itertools.count(2))
    return next(n for n in itertools.chain(candidates, numbered) if n not in known)


def _derived(place: Place, known: dict[str, Column]) -> str | None:
    if place.label == "padding" and all(isinstance(v, int) for v in place.column):
        for name, column in known.items():
            if name == "kernel_size" and place.column == tuple(
                v // 2 if isinstance(v, int) else None for v in column
            ):
                return f"{name} // 2"
    return _derive(place.column, known) if place.label in CHANNELS else None


def _derive(column: Column, known: dict[str, Column]) -> str | None:
    """Return the simplest expression in known values that is this one in every block, if any."""
    numbers = {name: c for name, c in known.items() if all(type(v) is int for v in c)}
    wanted = [v for v in column if type(v) is int]
    if len(wanted) != len(column):
        return None
    found = [(rank, text) for rank, text in _candidates(wanted, numbers)]
    return min(found)[1] if found else None


def _candidates(wanted: list[int], known: dict[str, Column]) -> Iterator[tuple[int, str]]:
    for name, column in known.items():
        values = [v for v in column if isinstance(v, int)]
        for a, b, sign in ((values, wanted, "//"), (wanted, values, "*")):
            factors = {x // y if y and x % y == 0 else 0 for x, y in zip(a, b, strict=True)}
            if len(factors) == 1 and (factor := factors.pop()) > 1:
                yield factor, f"{name} {sign} {factor}"
    for (one, left), (other, right) in itertools.permutations(known.items(), 2):
        pairs = list(zip(left, right, strict=True))
        if wanted == [a - b for a, b in pairs if isinstance(a, int) and isinstance(b, int)]:
            yield 2, f"{one} - {other}"
