"""A rule of a dialect: one layer in two spellings, with numbers that each side counts its own way.

A number of theirs is a sum of what the network counts, each times a whole number, and a constant::

    {stage} {unit}        of the canonical name
    {flat}                units of all stages before this one
    {units} {stages}      how many there are in all
    {index}               convolutions of a stem that has several

so that ``{flat+1}``, ``{units+1}``, ``{3*flat+stage-1}`` and ``{3}`` are some; ``{unit~}`` counts
with letters, from a. What is read of a unit is its place among the others: of their number, the
constant is taken away, and units are sorted by it. A rule for ``stage1.{unit}`` comes before those
for any stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

_PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::(\w+))?\}")
_TERM = re.compile(r"([+-]?)(?:(\d+)\*)?(\w+)")
_NUMBER = re.compile("[0-9]+[a-z]?")
_STAGE = re.compile(r"stage([0-9]+)\.")
_REPEATED = (
    (re.compile(r"stage(?P<stage>\d+)\.(?P<unit>\d+)\.(.+)"), r"stage{stage}.{unit}.\3"),
    (re.compile(r"stage(?P<stage>\d+)\.(.+)"), r"stage{stage}.\2"),
    (re.compile(r"stem\.(?P<index>\d+)\.(.+)"), r"stem.{index}.\2"),
)
"""Canonical names of layers that repeat → their pattern."""


class _Sum(NamedTuple):
    """What stands for a number: ``2*flat+stage-1``."""

    terms: tuple[tuple[int, str], ...]
    constant: int
    letter: bool

    @classmethod
    def parsed(cls, text: str) -> _Sum:
        terms, constant = [], 0
        for sign, factor, name in _TERM.findall(text):
            times = (-1 if sign == "-" else 1) * int(factor or 1)
            if name.isdecimal():
                constant += times * int(name)
            else:
                terms.append((times, name))
        return cls(tuple(terms), constant, text.endswith("~"))

    def admits(self, rest: int) -> bool:
        """Return whether a number can be, of which the constant has been taken away."""
        if len(self.terms) > 1:
            return True
        return rest % self.terms[0][0] == 0 if self.terms else rest == 0

    def told(self, numbers: Mapping[str, int]) -> str:
        value = sum(factor * numbers[name] for factor, name in self.terms) + self.constant
        return chr(ord("a") + value) if self.letter else str(value)

    def rest(self, text: str) -> int:
        """Return the number that a text tells, without the constant."""
        return (ord(text) - ord("a") if self.letter else int(text)) - self.constant


@dataclass(frozen=True)
class Rule:
    """One row of a dialect's table.

    Attributes:
        canonical: our name, ``"stage{stage}.{unit}.expand.conv"``.
        pattern: theirs, ``"features.{flat+1:plain}.conv.2"``.
    """

    canonical: str
    pattern: str

    @property
    def in_unit(self) -> bool:
        """Whether the layer is one of a unit's."""
        return "{unit}" in self.canonical

    @cached_property
    def stage(self) -> tuple[int, ...]:
        """The number of the only stage that it is for."""
        found = _STAGE.match(self.canonical)
        return (int(found[1]),) if found else ()

    @property
    def in_pieces(self) -> bool:
        """Whether they have it as a list of convolutions, one a group."""
        return self.pattern.endswith(".*")

    @cached_property
    def kind(self) -> str:
        """The kind of unit that it is for; empty for all."""
        return "".join(dict.fromkeys(kind for _, kind in _PLACEHOLDER.findall(self.pattern)))

    @cached_property
    def unnumbered(self) -> str:
        """Their name as `unnumbered` gives those of all layers that it is for."""
        return unnumbered(_PLACEHOLDER.sub("0", self.pattern))

    @cached_property
    def _sums(self) -> list[_Sum]:
        return [_Sum.parsed(text) for text, _ in _PLACEHOLDER.findall(self.pattern)]

    def fill(self, numbers: Mapping[str, int]) -> str:
        """Return their name of the layer with these numbers."""
        values = iter(self._sums)
        filled = _PLACEHOLDER.sub(lambda _: next(values).told(numbers), self.pattern)
        return filled.removesuffix(".*")

    @cached_property
    def _read(self) -> re.Pattern[str]:
        parts = map(re.escape, _PLACEHOLDER.split(self.pattern.removesuffix(".*"))[::3])
        found = next(parts)
        for part, held in zip(parts, self._sums, strict=True):
            found += ("([a-z])" if held.letter else "([0-9]{1,4})") + part
        return re.compile(found)

    def read(self, layer: str) -> tuple[int, ...] | None:
        """Return the numbers in their name without the constants; None if it is another layer."""
        match = self._read.fullmatch(layer)
        if match is None:
            return None
        texts = zip(match.groups(), self._sums, strict=True)
        numbers = tuple(number.rest(text) for text, number in texts)
        fits = all(n >= 0 and held.admits(n) for n, held in zip(numbers, self._sums, strict=True))
        return numbers if fits else None

    def ours(self, numbers: tuple[int, ...]) -> str:
        """Return our name of a layer outside of the units, from the numbers read."""
        found = self.canonical
        for number, held in zip(numbers, self._sums, strict=True):
            ((factor, name),) = held.terms
            found = found.replace(f"{{{name}}}", str(number // factor))
        return found


def unnumbered(layer: str) -> str:
    """Return a name of theirs with every number as ``#``: the same for all units of a kind.

    So is one with a letter behind it.
    """
    return _NUMBER.sub("#", layer).removesuffix(".*")


@lru_cache(maxsize=1 << 14)  # networks have the same few names, asked for by every dialect
def located(name: str) -> tuple[str, Mapping[str, int]]:
    """Return the pattern of a canonical name, and the numbers that stand in it."""
    for place, pattern in _REPEATED:
        if match := place.fullmatch(name):
            return match.expand(pattern), {key: int(n) for key, n in match.groupdict().items()}
    return name, {}
