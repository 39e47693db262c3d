"""What every family's spec has: JSON, a stable hash, its graph, and overrides checked by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from zoo.arch.damped import damped
from zoo.arch.feature_info import FeatureInfo
from zoo.arch.features import Feature, feature_info, features
from zoo.arch.graph import Graph
from zoo.arch.head import without_classifier
from zoo.arch.later import LATER, stated
from zoo.arch.operator import Shape
from zoo.errors import SpecError, unknown

JSON_VERSION = 1
MAX_NUMBER = 1 << 20
"""Of channels, classes and pixels a side."""
MAX_UNITS = 1000
"""A spec may come from a file that somebody has tampered with: expanding it must not take long."""


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """Base of a family's conventions: where published networks of one name differ.

    Attributes:
        classifier_bias: whether the classifier has a bias.
        bn_eps, bn_momentum: of every batch norm, in PyTorch's sense.
    """

    classifier_bias: bool = False
    bn_eps: float = 1e-5
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, hint = getattr(self, field.name), hints[field.name]
            choices = typing.get_args(hint)
            if choices and value not in choices:
                raise SpecError(f"{field.name} (={value!r}) must be one of {', '.join(choices)}")
            if hint is bool and not isinstance(value, bool):
                raise SpecError(f"{field.name} (={value!r}) must be True or False")
        for name in ("bn_eps", "bn_momentum"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SpecError(f"{name} (={value!r}) must be a number")
        if not 0 < self.bn_eps < math.inf:
            raise SpecError(f"bn_eps (={self.bn_eps!r}) must be positive")
        if not 0 < self.bn_momentum <= 1:
            raise SpecError(f"bn_momentum (={self.bn_momentum!r}) must be in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A network, free of any framework. Subclasses add the fields of their family.

    Attributes:
        num_classes: outputs of the classifier; 0 for a network without one, which returns what the
            classifier would read.
        in_channels: channels of the input image.
        image_size: nominal height and width; other sizes run as far as the windows fit.
        initialization: what weights start from where none are given: ``"damped"`` keeps branches,
            features and logits small (`zoo.arch.damped`); ``"fan_in"`` is what there was before
            it, drawn alike and not damped.
        conventions: the family's choices where published networks differ.
    """

    family: ClassVar[str]
    presets: ClassVar[Mapping[str, Conventions]]
    conventions_type: ClassVar[type[Conventions]]
    weightless: ClassVar[tuple[str, ...]] = ("image_size", "initialization")
    """Fields that make no difference to the weights: no file of them tells these."""
    told_by_shapes: ClassVar[bool] = True
    """Whether the shapes of its weights tell a network of the family, see `from_shapes`."""

    num_classes: int = 1000
    in_channels: int = 3
    image_size: int = 224
    initialization: Literal["damped", "fan_in"] = dataclasses.field(
        default="damped", metadata=LATER
    )
    conventions: Conventions

    def __post_init__(self) -> None:
        if not isinstance(self.conventions, self.conventions_type):
            presets = ", ".join(self.presets)
            raise SpecError(
                f"conventions (={self.conventions!r}) must be those of {self.family}, or the name "
                f"of a preset ({presets})"
            )
        require_positive("num_classes", self.num_classes, least=0)
        for name in ("in_channels", "image_size"):
            require_positive(name, getattr(self, name))
        if self.initialization not in ("damped", "fan_in"):
            told = f"initialization (={self.initialization!r})"
            raise SpecError(f"{told} must be one of damped, fan_in")

    @abstractmethod
    def expand(self) -> Graph:
        """Return the graph of the network; ``num_classes`` is at least 1 here."""

    @classmethod
    @abstractmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> Self:
        """Return the spec of a network from the shapes of its weights.

        Args:
            outer: canonical name → shape of what lies outside of the units.
            units: the same for each unit in order, by the name inside it
                (``expand.conv.weight``).
            conventions: what shapes do not tell. What they do tell (whether the classifier has a
                bias) is taken from them.

        Raises:
            SpecError: the layers are not those of the family.
        """

    @cached_property
    def graph(self) -> Graph:
        """The graph of the network, which knows the spec it came from.

        Raises:
            GraphError: the values of the spec do not fit together; the message names the node.
        """
        if self.num_classes == 0:
            whole = dataclasses.replace(self, num_classes=1).graph
            return dataclasses.replace(without_classifier(whole), origin=self)
        graph = dataclasses.replace(self.expand(), origin=self)
        return damped(graph) if self.initialization == "damped" else graph

    @property
    def repeats(self) -> int:
        """How many units the stages have in all: as many arrays at least, if not expanded yet."""
        return sum(getattr(self, "stage_repeats", ()))

    @property
    def feature_info(self) -> FeatureInfo:
        """The map at each resolution, as ``create(..., features_only=True)`` counts them.

        Example:
            >>> zoo.spec("shufflenet_v2_1.0x").feature_info.module_name()  # doctest: +SKIP
            ['stem.relu', 'stem', 'stage2', 'stage3', 'stage4']
        """
        return feature_info(self.graph)

    @property
    def features(self) -> dict[str, Feature]:
        """The feature maps that ``zoo.create(..., outputs=[...])`` can hand out, by name.

        Example:
            >>> zoo.spec("shufflenet_v2_1.0x").features["stage3"].stride  # doctest: +SKIP
            16
        """
        return features(self.graph)

    @property
    def sha256(self) -> str:
        """A hash of the spec that is the same on every machine and in every process."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the spec as one line of JSON, with every value stated but later ones' defaults."""
        fields = {"version": JSON_VERSION, "family": self.family} | self.as_fields()
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    def as_fields(self) -> dict[str, Any]:
        """Return the fields as JSON holds them, see `zoo.arch.later`."""
        return stated(self) | {"conventions": stated(self.conventions)}

    @property
    def label(self) -> str:
        """What code that is written of the network calls it."""
        return self.family

    def replace(self, **overrides: Any) -> Self:
        """Return the spec with fields changed.

        ``conventions`` may be the name of a preset, and single conventions may be given as if they
        were fields: ``spec.replace(conventions="mindcv", classifier_bias=True)``.

        Raises:
            UnknownNameError: a field or preset that does not exist.
            SpecError, GraphError: a value that does not fit.
        """
        own = {f.name for f in dataclasses.fields(self)}
        theirs = {f.name for f in dataclasses.fields(self.conventions_type)}
        for name in overrides:
            if name not in own | theirs:
                raise unknown(f"{self.family} override", name, own | theirs)
        conventions = overrides.pop("conventions", self.conventions)
        if isinstance(conventions, str):
            conventions = self.preset(conventions)
        changed = {name: overrides.pop(name) for name in list(overrides) if name in theirs}
        if changed and isinstance(conventions, self.conventions_type):
            conventions = dataclasses.replace(conventions, **changed)
        fields = {k: _frozen(v) for k, v in overrides.items()}
        spec = dataclasses.replace(self, conventions=conventions, **fields)
        _ = spec.graph  # expanding is the check that the values fit together
        return spec

    @classmethod
    def preset(cls, name: str) -> Conventions:
        """Return the conventions that one code base follows."""
        if name not in cls.presets:
            raise unknown(f"{cls.family} preset", name, cls.presets)
        return cls.presets[name]

    @property
    def preset_name(self) -> str:
        """The preset that the conventions are, or ``"custom"``."""
        names = [name for name, preset in self.presets.items() if preset == self.conventions]
        return names[0] if names else "custom"

    @property
    def conventions_told(self) -> str:
        """The nearest preset and what differs from it: ``"megvii, stem='cifar'"``."""
        own = dataclasses.asdict(self.conventions)
        differences = {
            name: [
                f"{field}={own[field]!r}"
                for field, value in dataclasses.asdict(preset).items()
                if own[field] != value
            ]
            for name, preset in self.presets.items()
        }
        nearest = min(differences, key=lambda name: len(differences[name]))
        return ", ".join([nearest, *differences[nearest]])

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Return the spec with these fields, as JSON holds them, not yet expanded."""
        known = {f.name for f in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise unknown(f"{cls.family} field", name, known)
        values: dict[str, Any] = {k: _frozen(v) for k, v in fields.items()}
        try:
            values["conventions"] = cls.conventions_type(**values["conventions"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise SpecError(f"{cls.family}: the fields do not make a spec: {error}") from None


def _frozen(value: Any) -> Any:
    """Return JSON's lists as the tuples that a frozen spec holds."""
    return tuple(value) if isinstance(value, list) else value


def require_rows(spec: Spec, *names: str) -> None:
    """Raise `SpecError` unless fields are lists of whole numbers, all of one length.

    The one called ``stage_repeats`` may not ask for more than `MAX_UNITS`.
    """
    rows = {name: getattr(spec, name) for name in names}
    for name, row in rows.items():
        if not isinstance(row, tuple):
            raise SpecError(f"{name} (={row!r}) must be a list of whole numbers")
        for value in row:  # of repeats, the sum is what matters
            require_positive(name, value, most=math.inf if name == "stage_repeats" else MAX_NUMBER)
    if len({len(row) for row in rows.values()}) != 1 or not next(iter(rows.values())):
        told = [f"{name} (={row})" for name, row in rows.items()]
        listed = " and ".join([", ".join(told[:-1]), told[-1]]) if told[1:] else told[0]
        raise SpecError(f"{listed} must have one entry a stage")
    if sum(rows.get("stage_repeats", ())) > MAX_UNITS:
        raise SpecError(
            f"stage_repeats (={rows['stage_repeats']}) must be at most {MAX_UNITS} in all"
        )


def require_probability(name: str, value: float) -> None:
    """Raise `SpecError` unless the value is a number in [0, 1)."""
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise SpecError(f"{name} (={value!r}) must be in [0, 1)")


def require_positive(name: str, value: object, least: int = 1, most: float = MAX_NUMBER) -> None:
    """Raise `SpecError` unless ``value`` is a whole number from 1, or ``least``, to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SpecError(f"{name} (={value!r}) must be a whole number of at least {least}")
    if value > most:
        raise SpecError(f"{name} (={value!r}) must be at most {most}")
