"""The networks by name, specs from names and from JSON. A family adds its row to FAMILIES."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from zoo.arch.spec import JSON_VERSION, Spec
from zoo.errors import SpecError, unknown
from zoo.text import TextError, parse_object

FAMILIES: dict[str, tuple[str, ...]] = {
    "shufflenet_v1": ("shufflenet_v1_",),
    "shufflenet_v2": ("shufflenet_v2_", "se_shufflenet_v2_"),
    "shufflenet_v2_plus": ("shufflenet_v2_plus_",),
    "shufflenet_v2_large": ("shufflenet_v2_large",),
    "resnet9": ("resnet9",),
    "resnet": ("resnet", "resnext", "wide_resnet"),
    "mobilenet_v1": ("mobilenet_v1_",),
    "mobilenet_v2": ("mobilenet_v2_",),
    "mobilenet_v3": ("mobilenet_v3_",),
    "mobilenet_v4": ("mobilenet_v4_",),
    "mnasnet": ("mnasnet_",),
    "mnasnet_a1": ("mnasnet_a1_",),
    "ghostnet": ("ghostnet_",),
    "efficientnet": ("efficientnet_",),
    "squeezenet": ("squeezenet",),
    "vgg": ("vgg",),
    "densenet": ("densenet",),
    "regnet": ("regnet_",),
    "convnext": ("convnext_",),
    "graph": (),
}
"""Family → how the names of its networks begin, so that one is loaded without the others.

The file of that name has `MODELS`, name → spec, and may have `ALIASES`: what another zoo calls one
of them → our name. An alias says which network, not whose: conventions stay the catalog's unless
they are asked for (``conventions="torchvision"``) or come with weights.
"""


@cache
def models(family: str) -> Mapping[str, Spec]:
    """Return the networks of a family, by name."""
    found: Mapping[str, Spec] = importlib.import_module(f"zoo.families.{family}").MODELS
    for name, entry in found.items():
        if _family(name) != family or entry.family != family:
            raise ValueError(f"{family}: the row in FAMILIES does not lead to {name!r}")
    return found


@cache
def kinds(family: str) -> tuple[Spec, ...]:
    """Return networks of a family that differ in more than numbers: in what they have, how many."""
    found: dict[tuple[Any, ...], Spec] = {}
    for entry in models(family).values():
        values = (getattr(entry, field.name) for field in dataclasses.fields(entry))
        kind = tuple(
            len(value) if isinstance(value, tuple) else value
            for value in values
            if isinstance(value, bool | str | tuple)
        )
        found.setdefault(kind, entry)
    return tuple(found.values())


@cache
def aliases() -> Mapping[str, str]:
    """Return what other zoos call networks of ours: their name → ours."""
    found: dict[str, str] = {}
    for family in FAMILIES:
        module = importlib.import_module(f"zoo.families.{family}")
        for alias, name in getattr(module, "ALIASES", {}).items():
            if alias in found or alias in catalog() or name not in models(family):
                raise ValueError(f"{family}: the alias {alias!r} is taken, or of no network")
            found[alias] = name
    return found


@cache
def catalog() -> Mapping[str, Spec]:
    """Return all networks by name."""
    return {name: entry for family in FAMILIES for name, entry in models(family).items()}


@cache
def family_type(family: str) -> type[Spec]:
    """Return the kind of spec that the networks of a family have."""
    module = importlib.import_module(f"zoo.families.{family}")
    (found,) = (
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Spec) and kind.__module__ == module.__name__
    )
    return found


def family_types() -> list[type[Spec]]:
    """Return the kinds of spec of all families."""
    return [family_type(family) for family in FAMILIES]


def _family(name: str) -> str | None:
    """Return the family whose row has the longest beginning of a name."""
    begun = {
        start: family
        for family, starts in FAMILIES.items()
        for start in starts
        if name.startswith(start)
    }
    return begun[max(begun, key=len)] if begun else None


def _find(name: str) -> Spec:
    family = _family(name)
    if family and name in models(family):
        return models(family)[name]
    name = aliases().get(name, name)
    if name not in catalog():
        raise unknown("model", name, {*catalog(), *aliases()})
    return catalog()[name]


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell-style pattern, sorted: ``list_models("*_g3")``."""
    return sorted(fnmatch.filter(catalog(), pattern))


class Known(Protocol):
    """What knows which network it is of: weights from a file, an adopted network."""

    @property
    def spec(self) -> Spec:
        """The network."""


def spec(model: str | Spec | Known, **overrides: Any) -> Spec:
    """Return the spec of a model, with fields or conventions changed.

    Args:
        model: a name of `list_models`, what another zoo calls it (``"shufflenet_v2_x1_0"``), a
            spec, or what knows its own.
        **overrides: fields of the spec (``num_classes=10``), a preset
            (``conventions="mindcv"``) or single conventions (``shuffle_order="gn"``).

    Raises:
        UnknownNameError: the model, field or preset does not exist; the nearest are named.
        SpecError, GraphError: the values do not fit together.

    Example:
        >>> spec("shufflenet_v1_1.0x_g3", num_classes=10).num_classes
        10
    """
    if isinstance(model, str):
        model = _find(model)
    model = getattr(model, "spec", model)  # weights know which network they are of
    if not isinstance(model, Spec):
        raise SpecError(f"model must be a name or a spec, not {type(model).__name__}")
    return model.replace(**overrides) if overrides else model


def overridable() -> set[str]:
    """Return the names of all fields and conventions of all families, which `spec` changes."""
    kinds = [kind for family in family_types() for kind in (family, family.conventions_type)]
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def spec_from_json(text: str, *, arrays: int | None = None) -> Spec:
    """Return the spec that `Spec.to_json` wrote.

    Args:
        text: the JSON.
        arrays: how many there are of the network: one that has more units is not expanded.

    Raises:
        SpecError: the text is not such JSON, or of a later version.
        UnknownNameError: a family or field that this version does not know.
    """
    try:
        fields = parse_object(text)
        version, family = fields.pop("version"), fields.pop("family")
    except KeyError as error:
        raise SpecError(f"not the JSON of a spec: {error} is missing") from None
    except TextError as error:
        raise SpecError(f"not the JSON of a spec: {error}") from None
    if version != JSON_VERSION:
        raise SpecError(f"version (={version!r}) of the spec must be {JSON_VERSION}")
    if not isinstance(family, str) or family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    spec = family_type(family).from_fields(fields)
    if arrays is not None and spec.repeats > arrays:
        raise SpecError(f"units (={spec.repeats}) must be at most {arrays}, the number of arrays")
    _ = spec.graph  # expanding is the check that the values fit together
    return spec


def base_model(wanted: Spec) -> str | None:
    """Return the catalog's network that a spec is, whatever its head, input and conventions.

    Where there are two, they are for images of other sizes: the one with the same stem, or else
    whose conventions differ in the fewest fields.
    """
    conventions = dataclasses.asdict(wanted.conventions)
    fitting: dict[str, tuple[bool, int]] = {}
    for name, entry in models(wanted.family).items():
        free = {"num_classes", "in_channels", "conventions", *wanted.weightless}
        same = {field: getattr(wanted, field) for field in free}
        if dataclasses.replace(entry, **same) == wanted:
            theirs = dataclasses.asdict(entry.conventions)
            differing = [field for field, value in conventions.items() if theirs[field] != value]
            fitting[name] = ("stem" in differing, len(differing))
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


def model_name(wanted: Spec) -> str:
    """Return the catalog's name for a spec, or one made of its family and hash."""
    names = [name for name, entry in models(wanted.family).items() if entry == wanted]
    return names[0] if names else f"{wanted.label}_{wanted.sha256[:8]}"
