"""The networks by name, specs from names and from JSON. A family adds its row to FAMILIES."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Any

from zoo.arch import resnet9, shufflenet_v1, shufflenet_v2, shufflenet_v2_plus
from zoo.arch.aliases import ALIASES
from zoo.arch.spec import JSON_VERSION, Spec
from zoo.errors import SpecError, unknown
from zoo.text import TextError, parse_object

FAMILIES: dict[type[Spec], dict[str, Spec]] = {
    shufflenet_v1.ShuffleNetV1Spec: shufflenet_v1.MODELS,
    shufflenet_v2.ShuffleNetV2Spec: shufflenet_v2.MODELS,
    shufflenet_v2_plus.ShuffleNetV2PlusSpec: shufflenet_v2_plus.MODELS,
    resnet9.ResNet9Spec: resnet9.MODELS,
}


def _catalogue() -> dict[str, Spec]:
    catalogue: dict[str, Spec] = {}
    for family, models in FAMILIES.items():
        for name, entry in models.items():
            if name in catalogue:
                raise ValueError(f"{family.family}: the model name {name!r} is taken")
            catalogue[name] = entry
    return catalogue


CATALOGUE = _catalogue()
if clash := [
    alias for alias, name in ALIASES.items() if alias in CATALOGUE or name not in CATALOGUE
]:
    raise ValueError(f"aliases that are taken, or of no network: {', '.join(clash)}")


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell-style pattern, sorted: ``list_models("*_g3")``."""
    return sorted(fnmatch.filter(CATALOGUE, pattern))


def spec(model: str | Spec, **overrides: Any) -> Spec:
    """Return the spec of a model, with fields or conventions changed.

    Args:
        model: a name of `list_models`, what another zoo calls it (``"shufflenet_v2_x1_0"``), or a
            spec.
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
        name = ALIASES.get(model, model)
        if name not in CATALOGUE:
            raise unknown("model", model, {*CATALOGUE, *ALIASES})
        model = CATALOGUE[name]
    if not isinstance(model, Spec):
        raise SpecError(f"model must be a name or a spec, not {type(model).__name__}")
    return model.replace(**overrides) if overrides else model


def overridable() -> set[str]:
    """Return the names of all fields and conventions of all families, which `spec` changes."""
    kinds = [kind for family in FAMILIES for kind in (family, family.conventions_type)]
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def spec_from_json(text: str) -> Spec:
    """Return the spec that `Spec.to_json` wrote.

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
    families = {spec_type.family: spec_type for spec_type in FAMILIES}
    if not isinstance(family, str) or family not in families:
        raise unknown("family", family, families)
    return families[family].from_fields(fields)


def base_model(wanted: Spec) -> str | None:
    """Return the catalogue's network that a spec is, whatever its head, input and conventions.

    Where there are two, they are for images of other sizes: the one with the same stem, or else
    whose conventions differ in the fewest fields.
    """
    conventions = dataclasses.asdict(wanted.conventions)
    fitting: dict[str, tuple[bool, int]] = {}
    for name, entry in CATALOGUE.items():
        if type(entry) is not type(wanted):
            continue
        free = {"num_classes", "in_channels", "conventions", *wanted.weightless}
        same = {field: getattr(wanted, field) for field in free}
        if dataclasses.replace(entry, **same) == wanted:
            theirs = dataclasses.asdict(entry.conventions)
            differing = [field for field, value in conventions.items() if theirs[field] != value]
            fitting[name] = ("stem" in differing, len(differing))
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


def model_name(wanted: Spec) -> str:
    """Return the catalogue's name for a spec, or one made of its family and hash."""
    names = [name for name, entry in CATALOGUE.items() if entry == wanted]
    return names[0] if names else f"{wanted.family}_{wanted.sha256[:8]}"
