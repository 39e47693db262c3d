"""From what a user gives as a network and its weights to a spec and arrays that fit it."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import backends
import weights as arrays
from weights import Checkpoint, formats
from weights.address import is_address
from zoo import families
from zoo.arch import Spec
from zoo.arch.preprocessing import Preprocessing
from zoo.arch.spec import Conventions
from zoo.errors import SpecError, WeightsError
from zoo.families.stems import with_stem_of
from zoo.passes import Weights, convert_conventions

Network = str | Path | Spec | Checkpoint
"""A name, a spec, or weights that know which network they are of, or the file that holds them."""
Source = str | Path | Mapping[str, np.ndarray]
"""A file (``hf-hub:owner/repo``: on the hub), the name of published weights, or name → array."""

log = logging.getLogger("zoo")


@dataclasses.dataclass(frozen=True)
class Resolved:
    """What a user means by a network and its weights.

    Attributes:
        spec: of the network.
        weights: that fit it.
        preprocessing: of the pictures that they want, where it is known.
    """

    spec: Spec
    weights: Weights
    preprocessing: Preprocessing | None = None


def opened(model: Network) -> str | Spec | Checkpoint:
    """Return what is meant: of a file the weights, which know their network; all else as it is.

    Text is a file where it has the suffix of one: no name of a network has.

    Raises:
        WeightsError: the file cannot be read, or does not tell which network it is of.
    """
    if isinstance(model, Path) or (isinstance(model, str) and is_file(model)):
        try:
            return arrays.load_weights(model)
        except WeightsError as error:
            if Path(model).suffix.lower() not in backends.FILES or not Path(model).exists():
                raise
            told = f"{error}\nof a network from elsewhere, zoo adopt {model} makes a file of ours"
            raise WeightsError(told) from None
    return model


def is_file(text: str) -> bool:
    """Return whether text is meant as a file of weights."""
    return is_address(text) or text.endswith(
        tuple(s for entry in formats.FORMATS.values() for s in entry.suffixes)
    )


def resolve(
    model: Network,
    weights: Source | None,
    overrides: Mapping[str, Any],
    *,
    adapt: bool,
    seed: int,
) -> tuple[Spec, Weights]:
    """Return the spec of the network that is meant, and weights that fit it; see `resolved`."""
    found = resolved(model, weights, overrides, adapt=adapt, seed=seed)
    return found.spec, found.weights


def resolved(
    model: Network,
    weights: Source | None,
    overrides: Mapping[str, Any],
    *,
    adapt: bool,
    seed: int,
) -> Resolved:
    """Return the spec of the network that is meant, weights that fit it, and what they want.

    Weights from a file bring their conventions, classes and channels with them, unless ``model`` is
    a spec, which states them all, or ``overrides`` do.
    """
    model = opened(model)
    wanted = families.spec(model, **overrides)
    if weights is None and isinstance(model, Checkpoint):
        weights = model
    if weights is None:
        return Resolved(wanted, arrays.initialize(wanted.graph, seed))
    if isinstance(weights, str | Path):
        known = model if isinstance(model, Checkpoint) else wanted
        weights = from_source(weights, known, conventions=asked(model, overrides))
    if not isinstance(weights, Checkpoint):
        return Resolved(wanted, arrays.check(wanted.graph, weights))
    arrays.require_same_network(weights.path, weights.spec, wanted)
    if isinstance(model, str):
        wanted = weights.spec.replace(**overrides)
    found, notes = fit(weights, wanted, adapt=adapt, seed=seed)
    for note in notes:
        log.info("%s: %s", weights.path, note)
    # Of what a network for other channels is fed, a picture's preprocessing says nothing.
    how = weights.preprocessing if wanted.in_channels == weights.spec.in_channels else None
    return Resolved(wanted, found, how)


def from_source(
    source: str | Path,
    wanted: Spec | Checkpoint | None,
    *,
    dialect: str | None = None,
    entry: str | None = None,
    conventions: Conventions | None = None,
) -> Checkpoint:
    """Return the weights in a file, or published ones by name (``"mindcv/imagenet1k"``).

    Args:
        source: a file, also one on the hub (``"hf-hub:owner/repo"``), the name of published
            weights, or ``"best"`` for the most accurate of these.
        wanted: the network that is expected; needed for published weights. What `zoo.adopt`
            returned also tells the names that its code base has.
        dialect: as for `load_weights`.
        entry: as for `load_weights`.
        conventions: those that the best must be had in; None where any will do.

    Raises:
        WeightsError: there is neither, or the weights are of another network.
        SpecError: published weights of what?
    """
    if is_address(source) or Path(source).exists():
        return arrays.load_weights(source, model=wanted, dialect=dialect, entry=entry)
    from weights import pretrained  # the only use of what it imports

    name = families.base_model(families.spec(wanted)) if wanted is not None else None
    if not pretrained.is_tag(str(source)):
        known = [entry.tag for entry in pretrained.list_pretrained(name or "*")]
        tags = ", ".join(sorted(set(known))[:8]) + (", …" if len(set(known)) > 8 else "")
        raise WeightsError(
            f"{source}: no such file, and no published weights ({tags or 'none of this network'})"
        )
    if name is None:
        raise SpecError(
            f"weights {str(source)!r}: model must be a network of the catalog, of which they are"
        )
    tag = pretrained.named(name, str(source), conventions).tag
    return pretrained.load_pretrained(name, tag, progress=sys.stderr.isatty())


def asked(model: Network, overrides: Mapping[str, Any]) -> Conventions | None:
    """Return the conventions that a network is asked for in; None where its name alone is given."""
    spec = families.spec(opened(model), **overrides)
    fields = {"conventions", *(field.name for field in dataclasses.fields(spec.conventions))}
    if isinstance(model, str) and not is_file(model) and not fields & overrides.keys():
        return None
    return spec.conventions


def fit(
    checkpoint: Checkpoint, wanted: Spec, *, adapt: bool, seed: int
) -> tuple[Weights, tuple[str, ...]]:
    """Return a checkpoint's weights for the same network in other conventions, or adapted.

    A network without a classifier takes the weights of one that has one.

    Raises:
        ConventionError: the conventions are not the same function; the fields are named.
        WeightsError: classes or channels differ and ``adapt`` is not set.
    """
    spec = checkpoint.spec
    found: Weights = dict(checkpoint.weights)
    notes: tuple[str, ...] = ()
    if wanted.num_classes == 0 < spec.num_classes:
        bias = wanted.conventions.classifier_bias  # of no classifier
        spec, whole = spec.replace(num_classes=0, classifier_bias=bias), spec
        left = [name for name in found if name not in spec.graph.parameters]
        found = {name: array for name, array in found.items() if name not in left}
        notes = (f"{', '.join(left)}: left out, of {whole.num_classes} classes (num_classes=0)",)
    if not checkpoint.told:
        spec = with_stem_of(wanted, spec)
    if spec.conventions != wanted.conventions:
        converted = dataclasses.replace(spec, conventions=wanted.conventions)
        found = convert_conventions(spec, converted, found)
        spec = converted
    different = [
        f"{field} (={getattr(spec, field)}) must be {getattr(wanted, field)}"
        for field in ("num_classes", "in_channels")
        if getattr(spec, field) != getattr(wanted, field)
    ]
    if different and not adapt:
        raise WeightsError(
            f"{checkpoint.path}: {' and '.join(different)}; adapt=True starts a new classifier "
            "from the seed and fits the first convolution to the channels"
        )
    if different:
        found, adapted = arrays.adapt(found, spec.graph, wanted.graph, seed=seed)
        notes += adapted
    return arrays.check(wanted.graph, found), notes
