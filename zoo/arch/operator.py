"""What every operator of the graph answers, and the parameters that one may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.errors import GraphError

Shape = tuple[int, ...]
"""A concrete shape, NCHW for feature maps and (N, C) after ``Flatten``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One array that an operator holds.

    Attributes:
        shape: PyTorch's layout (convolutions OIHW, linear layers (out, in)).
        trainable: False for running statistics, which no optimiser touches.
        init: how `weights.initialise` fills it.
        fan_in: inputs summed into one output value; scales the ``uniform`` initialisations.
    """

    shape: Shape
    trainable: bool = True
    init: Literal["he_uniform", "fan_in_uniform", "zeros", "ones"] = "zeros"
    fan_in: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Base of the operators: frozen data, with every value stated.

    A rule that is broken raises `GraphError` without a node name; the graph puts the name in front.
    """

    arity: ClassVar[int | None] = 1
    """How many inputs it takes; None for any number."""

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
