"""What networks of tokens do with axes, and the arrays that they hold as values.

Axis 0 of every value that depends on the image is the images, times something (windows), the images
outermost. A value made of weights alone has no such axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from zoo.arch.later import LATER
from zoo.arch.operator import Operator, Parameter, Result, Shape, Traits, require
from zoo.arch.operators.norms import require_axis


def _move(result: Result) -> Traits:
    """Return the traits of what moves values between places, channels among them."""
    return Traits(
        elementwise=False,
        channels="mixed",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result=result,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight(Operator):
    """An array that the network holds as a value, as it is: a class token, a position embedding.

    What reads it broadcasts it as NumPy does. One that is not ``trainable`` is a constant, whose
    ``value`` is part of the network (`zoo.passes.constant`). ``initial_weight`` is what all its
    numbers start from; None if they are drawn.
    """

    traits = Traits(
        elementwise=False,
        channels="mixed",
        sign="free",
        kinks=(),
        rounds=True,
        overwrites=False,
        result="view",
    )

    arity: ClassVar[int | None] = 0

    shape: tuple[int, ...]
    trainable: bool
    value: str = field(default="", repr=False)
    initial_weight: float | None = field(default=None, compare=False, metadata=LATER)

    def __post_init__(self) -> None:
        text = isinstance(self.value, str) and not (self.trainable and self.value)
        require(text, "value must be text, and of what is not trainable")
        require(all(n >= 1 for n in self.shape), f"shape (={self.shape}) must be positive")

    @property
    def mixes_channels(self) -> bool:
        return False

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.shape

    def parameters(self) -> Mapping[str, Parameter]:
        if self.initial_weight is not None:
            scale = self.initial_weight
            return {"weight": Parameter(self.shape, self.trainable, "ones", scale=scale)}
        # As large as the values that it is added to, whose scale is not known, could be: as a
        # linear layer of so many inputs.
        fan_in = (self.shape or (1,))[-1]
        made = Parameter(
            self.shape, self.trainable, init="fan_in_uniform", fan_in=fan_in, value=self.value
        )
        return {"weight": made}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand(Operator):
    """A value (1, …) that is the same of all images, as often as the second input has images."""

    traits = Traits(
        elementwise=False,
        channels="each",
        sign="kept",
        kinks=(),
        rounds=False,
        overwrites=False,
        result="view",
    )

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        require(inputs[0][:1] == (1,), f"the first input must be (1, …) (shape {inputs[0]})")
        return (inputs[1][0], *inputs[0][1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Permute(Operator):
    """Axis i of the output is axis ``dims[i]`` of the input, as ``torch.permute``."""

    traits = _move("view")

    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            sorted(self.dims) == list(range(len(self.dims))),
            f"dims (={self.dims}) must be a permutation of 0..{len(self.dims) - 1}",
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        require(
            len(inputs[0]) == len(self.dims),
            f"dims (={self.dims}) must name each axis of its input (shape {inputs[0]})",
        )
        return tuple(inputs[0][i] for i in self.dims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Operator):
    """The same values in order as (…, *shape): axis 0 is what is left for it."""

    traits = _move("view")

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        require(all(n >= 1 for n in self.shape), f"shape (={self.shape}) must be positive")

    def output_shape(self, *inputs: Shape) -> Shape:
        size, rest = math.prod(inputs[0]), math.prod(self.shape)
        require(
            size % rest == 0,
            f"shape (={self.shape}) must divide the {size} values of its input (shape {inputs[0]})",
        )
        return (size // rest, *self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll(Operator):
    """Values moved along axes, the last ones to the front, as ``torch.roll``; shape kept."""

    traits = _move("own")

    shifts: tuple[int, ...]
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            len(self.shifts) == len(self.dims) == len(set(self.dims)) and min(self.dims) >= 1,
            f"shifts (={self.shifts}) must be one for each of dims (={self.dims}), which are axes "
            "behind the images",
        )

    @property
    def mixes_channels(self) -> bool:
        return 1 in self.dims

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(max(self.dims), inputs[0])
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Operator):
    """The places ``indices`` of an axis, one after the other, as ``torch.index_select``."""

    traits = _move("own")

    dim: int
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            bool(self.indices) and min(self.indices) >= 0, "indices must be some, none negative"
        )

    @property
    def mixes_channels(self) -> bool:
        return self.dim == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(self.dim, inputs[0])
        size = inputs[0][self.dim]
        require(
            max(self.indices) < size,
            f"indices (up to {max(self.indices)}) must be below {size} (shape {inputs[0]})",
        )
        return _with(inputs[0], self.dim, len(self.indices))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow(Operator):
    """Places ``start`` to ``stop`` (exclusive) of an axis, every ``step``-th; `Slice` of others."""

    traits = _move("view")

    dim: int
    start: int
    stop: int
    step: int

    def __post_init__(self) -> None:
        require(self.step >= 1, f"step (={self.step}) must be at least 1")

    @property
    def mixes_channels(self) -> bool:
        return self.dim == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(self.dim, inputs[0])
        size = inputs[0][self.dim]
        require(
            0 <= self.start < self.stop <= size,
            f"start (={self.start}) and stop (={self.stop}) must select some of the {size} places "
            f"of axis {self.dim}",
        )
        return _with(inputs[0], self.dim, -(-(self.stop - self.start) // self.step))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcatAlong(Operator):
    """Join along an axis that is not the channels', which `Concat` does."""

    traits = _move("own")

    arity: ClassVar[int | None] = None

    dim: int

    @property
    def mixes_channels(self) -> bool:
        return self.dim == 1

    def output_shape(self, *inputs: Shape) -> Shape:
        require_axis(self.dim, inputs[0])
        others = {_with(shape, self.dim, 0) for shape in inputs if len(shape) > self.dim}
        require(
            len(others) == 1 and len({len(shape) for shape in inputs}) == 1,
            f"the inputs must differ in axis {self.dim} alone (shapes {list(inputs)})",
        )
        return _with(inputs[0], self.dim, sum(shape[self.dim] for shape in inputs))


def _with(shape: Shape, dim: int, size: int) -> Shape:
    return (*shape[:dim], size, *shape[dim + 1 :])
