"""What MobileNets and those after them share: rows of units, each around a depthwise convolution.

A unit expands by a 1×1 convolution, filters each channel, may weigh the channels (squeeze and
excitation), and projects by a 1×1 convolution without an activation; what it read is added where
that has the same shape (arXiv:1801.04381).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.operators import Padding
from zoo.arch.spec import Conventions, Spec, require_positive, require_probability, require_rows
from zoo.errors import SpecError
from zoo.families import stems
from zoo.families.stages import one_of
from zoo.families.stems import StemConventions

Add = Callable[[str], str]
"""Adds an operator to a value: `GraphBuilder.relu6`."""


def divisible(channels: float, by: int = 8) -> int:
    """Return the nearest multiple, the next one if that is less than 90 %: TensorFlow's rule."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest if nearest >= 0.9 * channels else nearest + by


def padded(rule: str) -> Padding | None:
    """Return the padding that a convention says; None is half of the kernel on each side."""
    return "SAME_UPPER" if rule == "SAME_UPPER" else None


@dataclass(frozen=True, kw_only=True)
class UnitsSpec(Spec):
    """A network of such units in rows, as the papers' tables have them.

    Attributes:
        stem_channels: of the 3×3 convolution at stride 2 that begins it.
        stage_repeats: units of each row.
        stage_strides: of the first unit of each row.
        dropout: probability before the classifier, in training.
    """

    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    stem_channels: int = 32
    stage_repeats: tuple[int, ...]
    stage_strides: tuple[int, ...]
    dropout: float = 0.2
    conventions: StemConventions

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("stem_channels", self.stem_channels)
        require_rows(self, "stage_repeats", "stage_strides")
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> Self:
        """Strides are no shapes: they are those of a network of the catalog with these units."""
        models = cast("dict[str, Self]", importlib.import_module(cls.__module__).MODELS)
        with suppress(SpecError):
            return one_of(models, outer, units, conventions)
        for entry in models.values():
            with suppress(LookupError):
                return one_of({"": entry.widened(outer, units)}, outer, units, conventions)
        raise SpecError(f"the layers are not those of a {cls.family}")

    def widened(self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]) -> Self:
        """Return the network as wide as the shapes are.

        Raises:
            LookupError: it has other layers.
        """
        if len(units) != self.repeats:
            raise LookupError(len(units))
        return replace(self, stem_channels=outer["stem.conv.weight"][0])

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the first convolution, and of the first unit of each row, as far as the stem goes."""
        return stems.strides(self.conventions.stem, (2, *self.stage_strides))

    def units(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (number of the unit, its row from 0, its number there, its stride)."""
        flat = 0
        _, *strides = self.strides
        for row, repeats in enumerate(self.stage_repeats):
            for unit in range(repeats):
                yield flat, row, unit, strides[row] if unit == 0 else 1
                flat += 1


@dataclass(frozen=True, kw_only=True)
class RowsSpec(UnitsSpec):
    """A network whose units make as many channels as the others of their row.

    Attributes:
        stage_channels: that they make.
        stage_kernels: of their depthwise convolutions.
    """

    stage_channels: tuple[int, ...]
    stage_kernels: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "stage_channels", "stage_repeats", "stage_strides", "stage_kernels")

    def widened(self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]) -> Self:
        """Return the network as wide as the shapes are."""
        wide = super().widened(outer, units)
        made = [unit["project.conv.weight"][0] for unit in units]
        channels = tuple(made[flat] for flat, _, unit, _ in self.units() if unit == 0)
        return replace(wide, stage_channels=channels)


@dataclass(frozen=True, kw_only=True)
class ExpandedRowsSpec(RowsSpec):
    """A network whose units expand by a factor a row, with a 1×1 convolution behind the last.

    Attributes:
        stage_factors: by which a row's units expand what they read.
        last_channels: of the convolution before the mean.
    """

    stage_factors: tuple[int, ...]
    last_channels: int = 1280

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("last_channels", self.last_channels)
        require_rows(self, "stage_factors", "stage_channels")

    def widened(self, outer: Mapping[str, Shape], units: Sequence[Mapping[str, Shape]]) -> Self:
        """Return the network as wide as the shapes are."""
        wide = super().widened(outer, units)
        return replace(wide, last_channels=outer["last.conv.weight"][0])

    def plain(self, activation: Callable[[GraphBuilder], Add]) -> Graph:
        """Return the network with one activation and no gates."""
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        add = activation(g)
        x = stem(g, self, add)
        for _, row, i, stride in self.units():
            with g.scope(f"stage{row + 1}.{i}"):
                x = unit(
                    g,
                    x,
                    self.stage_channels[row],
                    expanded=g.channels(x) * self.stage_factors[row],
                    kernel_size=self.stage_kernels[row],
                    stride=stride,
                    activation=add,
                )
        with g.scope("last"):
            x = add(g.conv_bn(x, self.last_channels))
        return g.build(head(g, x, self, self.dropout))


def stem(g: GraphBuilder, spec: UnitsSpec, activation: Add, padding: Padding | None = None) -> str:
    """Add the 3×3 convolution that reads the image; its padding is that of stride 2."""
    stride = spec.strides[0]
    own: dict[str, Any] = {"stride": stride, "padding": padding if stride > 1 else None}
    with g.scope("stem"):
        return activation(g.conv_bn(g.input, spec.stem_channels, kernel_size=3, **own))


def depthwise(g: GraphBuilder, x: str, kernel_size: int, stride: int) -> str:
    """Add a convolution of each channel by itself, and a batch norm."""
    channels = g.channels(x)
    return g.conv_bn(x, channels, kernel_size=kernel_size, stride=stride, groups=channels)


def unit(
    g: GraphBuilder,
    x: str,
    channels: int,
    *,
    expanded: int,
    kernel_size: int,
    stride: int,
    activation: Add,
    padding: Padding | None = None,
    gate: Add | None = None,
    drop: float = 0.0,
) -> str:
    """Add a unit: inverted residual, or depthwise separable convolution where nothing expands.

    Args:
        g: where to.
        x: what it reads.
        channels: that it makes.
        expanded: channels in between; as many as ``x`` has for none.
        kernel_size: of the depthwise convolution.
        stride: its.
        padding: its, at stride 2; at stride 1 every rule comes to half of the kernel.
        activation: after expansion and depthwise convolution.
        gate: adds squeeze and excitation.
        drop: probability of leaving the branch out, for each image, in training.
    """
    y = x
    if expanded != g.channels(x):
        with g.scope("expand"):
            y = activation(g.conv_bn(y, expanded))
    with g.scope("depthwise"):
        own: dict[str, Any] = {"stride": stride, "groups": expanded}
        own["padding"] = padding if stride > 1 else None
        y = activation(g.conv_bn(y, expanded, kernel_size=kernel_size, **own))
    if gate is not None:
        with g.scope("se"):
            y = gate(y)
    with g.scope("project"):
        y = g.conv_bn(y, channels)
    if stride != 1 or g.channels(x) != channels:
        return y
    return g.add(x, g.stochastic_depth(y, drop) if drop else y)


def head(g: GraphBuilder, x: str, spec: Spec, dropout: float) -> str:
    """Add mean, dropout and classifier."""
    return classifier(g, g.flatten(g.global_avg_pool(x)), spec, dropout)


def classifier(g: GraphBuilder, x: str, spec: Spec, dropout: float) -> str:
    """Add dropout and classifier."""
    if dropout:
        x = g.dropout(x, dropout)
    bias = spec.conventions.classifier_bias
    return g.linear(x, spec.num_classes, bias=bias, name="classifier")
