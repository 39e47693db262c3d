"""What every operator of the graph answers, its traits, and the parameters that one may hold."""

from __future__ import annotations

import itertools
import math
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from zoo.errors import GraphError

Shape = tuple[int, ...]
"""A concrete shape, NCHW for feature maps and (N, C) after ``Flatten``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One array that an operator holds.

    Attributes:
        shape: PyTorch's layout (convolutions OIHW, linear layers (out, in)).
        trainable: False for running statistics, which no optimizer touches.
        init: how `weights.initialize` fills it.
        fan_in: inputs summed into one output value; scales the ``uniform`` initializations.
        scale: what ``init`` is multiplied by.
        value: what it is instead, where that is part of the network (`zoo.passes.constant`).
    """

    shape: Shape
    trainable: bool = True
    init: Literal["he_uniform", "fan_in_uniform", "zeros", "ones"] = "zeros"
    fan_in: int = 1
    scale: float = 1.0
    value: str = field(default="", repr=False)


ChannelFlow = Literal["each", "moved", "mixed"]
Sign = Literal["free", "kept", "nonnegative"]
Result = Literal["own", "view", "saved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What passes, proof and backends need to know of a kind of operator. Nothing has a default.

    Attributes:
        elementwise: each output value depends on the values at the same place of the inputs alone.
        channels: ``"each"`` if output channel i depends on channel i of the inputs alone (all of
            its pixels are channels after a Flatten), ``"moved"`` if channels are only moved
            (`Operator.moved` tells which), ``"mixed"`` otherwise; `Operator.mixes_channels` is
            about one operator of the kind, which may be milder.
        sign: ``"nonnegative"`` if no output is negative, ``"kept"`` if none is where no input is,
            ``"free"`` otherwise.
        kinks: where the derivative of an elementwise function has a step, ascending;
            `Operator.kinks` is about one operator of the kind, whose fields may say where.
        rounds: it computes, so that a kernel in float32 may be off; not so if every output value is
            one of the input's, or 0 or a kink.
        overwrites: it may write its result over its last input, if nothing else needs that.
        result: ``"own"`` if nothing but its readers needs the result, so that the last of them may
            overwrite it; ``"view"`` if it may share its memory with an input; ``"saved"`` if the
            backward pass needs it.
    """

    elementwise: bool
    channels: ChannelFlow
    sign: Sign
    kinks: tuple[float, ...]
    rounds: bool
    overwrites: bool
    result: Result

    @property
    def regions(self) -> tuple[tuple[float, float], ...]:
        """The intervals between the kinks and beyond the outer ones; none where there are none."""
        return regions_between(self.kinks)

    def check(self) -> None:
        """Raise `GraphError` unless the traits are possible, and possible together."""
        for name, admitted in (("channels", ChannelFlow), ("sign", Sign), ("result", Result)):
            value, names = getattr(self, name), get_args(admitted)
            require(value in names, f"{name} (={value!r}) must be one of {', '.join(names)}")
        require(
            isinstance(self.kinks, tuple)
            and all(a < b for a, b in itertools.pairwise(self.kinks))
            and all(map(math.isfinite, self.kinks)),
            f"kinks (={self.kinks}) must be a tuple of finite numbers, ascending",
        )
        for name in ("kinks", "overwrites"):
            value = getattr(self, name)
            require(
                self.elementwise or not value,
                f"{name} (={value}) must be {type(value)()} with elementwise (=False)",
            )
        require(
            self.channels == "each" or not self.elementwise,
            f"channels (={self.channels!r}) must be 'each' with elementwise (=True)",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Base of the operators: frozen data, with every value stated.

    A rule that is broken raises `GraphError` without a node name; the graph puts the name in front.
    A class that does not state its traits, or possible ones, is refused as it is made: it takes
    over none. Bases of several operators are marked by ``ABC`` and state none.
    """

    arity: ClassVar[int | None] = 1
    """How many inputs it takes; None for any number."""

    traits: ClassVar[Traits]
    """What is to be known of operators of this kind."""

    def __init_subclass__(cls) -> None:
        # Slots make dataclass create each class twice: what is asked for here is in both.
        super(Operator, cls).__init_subclass__()
        if ABC in cls.__bases__:
            return
        traits = vars(cls).get("traits")
        if not isinstance(traits, Traits):
            raise GraphError(
                f"{cls.__name__}: an operator must state its traits (= Traits(...)) in its own "
                f"class; it takes over none"
            )
        try:
            traits.check()
            require(
                (traits.channels == "moved") == (cls.moved is not Operator.moved),
                f"channels (={traits.channels!r}) must be 'moved' with a method `moved` that tells "
                f"where to, and only with it",
            )
        except GraphError as error:
            raise GraphError(f"{cls.__name__}: {error}") from None

    @property
    def mixes_channels(self) -> bool:
        """Whether output channel i may depend on others than channel i, and not just be moved."""
        return self.traits.channels == "mixed"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where its derivative has a step, ascending."""
        return self.traits.kinks

    @property
    def regions(self) -> tuple[tuple[float, float], ...]:
        """The intervals between the kinks and beyond the outer ones; none where there are none."""
        return regions_between(self.kinks)

    def moved(self, sizes: Sequence[int]) -> Sequence[int] | None:
        """Return which channel of its inputs, counted through, each output channel is.

        None for an operator that does more than move channels. ``sizes`` are the inputs' channels.
        """
        return None

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the output for these inputs; by default that of the first.

        Raises:
            GraphError: the inputs do not fit the operator.
        """
        return inputs[0]

    def parameters(self) -> Mapping[str, Parameter]:
        """Return role → parameter, in PyTorch's names and order."""
        return {}

    def macs(self, output: Shape) -> int:
        """Return the multiply-adds for one output of this shape (conv and linear layers only)."""
        return 0


def regions_between(kinks: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Return the intervals between kinks and beyond the outer ones; none where there are none."""
    return tuple(itertools.pairwise((-math.inf, *kinks, math.inf))) if kinks else ()


def channels_of(shape: Shape) -> int:
    """Return the channels of a value, or the features: its axis 1; of a plain row, its length."""
    return shape[min(1, len(shape) - 1)] if shape else 1


def require(condition: bool, message: str) -> None:
    """Raise `GraphError` with ``message`` unless the condition holds."""
    if not condition:
        raise GraphError(message)


def require_divisible(name: str, value: int, groups: int) -> None:
    """Raise unless ``groups`` is positive and divides ``value``."""
    require(groups >= 1, f"groups (={groups}) must be at least 1")
    require(value >= 1, f"{name} (={value}) must be at least 1")
    require(value % groups == 0, f"{name} (={value}) must be divisible by groups (={groups})")


def require_channels(rule: str, expected: int, shape: Shape) -> None:
    """Raise unless axis 1 of ``shape`` has the expected size."""
    require(
        len(shape) >= 2 and shape[1] == expected,
        f"{rule} (={expected}) must equal the channels of its input (shape {shape})",
    )


def require_map(shape: Shape) -> None:
    """Raise unless the shape is that of a feature map, NCHW."""
    require(len(shape) == 4, f"the input must be a feature map NCHW (shape {shape})")
