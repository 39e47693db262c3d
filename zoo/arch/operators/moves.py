"""Operators that only move channels: shuffle, permutation, slice, concat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.arch.operator import (
    Operator,
    Shape,
    Traits,
    require,
    require_channels,
    require_divisible,
    require_map,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShuffle(Operator):
    """Interleave channel groups (ShuffleNet, arXiv:1707.01083); shape kept.

    The published networks mean two different permutations by it. ``"gn"`` is the paper's: view the
    channels as (groups, C / groups) and transpose. ``"ng"`` views them as (C / groups, groups).
    """

    traits = Traits(
        elementwise=False,
        channels="moved",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="view",
    )

    groups: int
    order: Literal["gn", "ng"]

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0])
        require_divisible("channels", inputs[0][1], self.groups)
        return inputs[0]

    def rows(self, channels: int) -> int:
        """Return r such that the shuffle is: view as (r, C / r), transpose, flatten."""
        return self.groups if self.order == "gn" else channels // self.groups

    def indices(self, channels: int) -> tuple[int, ...]:
        """Return the input channel that each output channel reads."""
        rows = self.rows(channels)
        columns = channels // rows
        return tuple(row * columns + column for column in range(columns) for row in range(rows))

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return self.indices(sizes[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPermute(Operator):
    """Output channel i is input channel ``indices[i]``; shape kept."""

    traits = Traits(
        elementwise=False,
        channels="moved",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="own",
    )

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            sorted(self.indices) == list(range(len(self.indices))),
            f"indices must be a permutation of 0..{len(self.indices) - 1}",
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_channels("the number of indices", len(self.indices), inputs[0])
        return inputs[0]

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return self.indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Operator):
    """Channels ``start`` to ``stop`` (exclusive). (N, C, …) -> (N, stop - start, …)."""

    traits = Traits(
        elementwise=False,
        channels="moved",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="view",
    )

    start: int
    stop: int

    def output_shape(self, *inputs: Shape) -> Shape:
        channels = inputs[0][1]
        require(
            0 <= self.start < self.stop <= channels,
            f"start (={self.start}) and stop (={self.stop}) must select some of the "
            f"{channels} channels",
        )
        return (inputs[0][0], self.stop - self.start, *inputs[0][2:])

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Operator):
    """Join along the channels, in the order of the inputs."""

    traits = Traits(
        elementwise=False,
        channels="moved",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="own",
    )

    arity: ClassVar[int | None] = None

    def output_shape(self, *inputs: Shape) -> Shape:
        first = inputs[0]
        require(
            all((s[0], *s[2:]) == (first[0], *first[2:]) for s in inputs),
            f"the inputs must differ in their channels only (shapes {list(inputs)})",
        )
        return (first[0], sum(s[1] for s in inputs), *first[2:])

    def moved(self, sizes: Sequence[int]) -> Sequence[int]:
        return range(sum(sizes))
