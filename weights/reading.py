"""The arrays of a file as a dialect understands them, and the network that their shapes are of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from weights.canonical import Weights, check
from weights.dialects import Dialect, Named, Skeleton
from zoo.arch import Shape, Spec
from zoo.arch.spec import Conventions
from zoo.errors import GraphError, SpecError
from zoo.families import base_model
from zoo.families.registry import catalog, family_type

COUNTER = "num_batches_tracked"
"""What PyTorch's batch norm counts; no output depends on it, and MindSpore has none."""


@dataclass(frozen=True)
class Recognized:
    """What arrays turned out to be: canonical ``weights`` of the network ``spec``."""

    dialect: Dialect
    spec: Spec
    weights: Weights
    notes: tuple[str, ...]

    def canonical(self) -> tuple[Weights, tuple[str, ...]]:
        """Return checked float32 weights, and notes on values that are not what they should be."""
        weights = check(self.spec.graph, self.weights)
        notes = []
        not_finite = [name for name, array in weights.items() if not np.isfinite(array).all()]
        if not_finite:
            notes.append(f"{len(not_finite)} arrays hold NaN or infinity: {_some(not_finite)}")
        rounded = [
            name
            for name, array in self.weights.items()
            if array.dtype.itemsize > 4 and not np.array_equal(weights[name], array, equal_nan=True)
        ]
        if rounded:
            notes.append(f"{len(rounded)} arrays were rounded to float32: {_some(rounded)}")
        return weights, tuple(notes)


@dataclass(frozen=True)
class Reading:
    """Arrays as one dialect understands them."""

    dialect: Dialect
    prefix: str
    arrays: Weights
    skeleton: Skeleton
    notes: tuple[str, ...]

    def spec(self, conventions: Conventions, like: Spec | None) -> Spec:
        """Return the spec that the shapes tell; what they do not tell is the catalog's.

        That there is no classifier is believed where none is expected: elsewhere it is missing.
        """
        if isinstance(self.dialect, Named):
            return self.dialect.of
        outer = self.skeleton.outer
        if like is not None and not like.told_by_shapes and like.family == self.dialect.family:
            return like
        if like is not None and like.num_classes == 0 and "classifier.weight" not in outer:
            return self._without_classifier(conventions)
        try:
            return self._spec(outer, conventions)
        except SpecError:
            if like is None or like.family != self.dialect.family:
                raise
            # Not a network that shapes tell: the one that is expected, if they are its.
            classes = outer.get("classifier.weight", (like.num_classes,))[0]
            return replace(like, num_classes=classes, conventions=conventions)

    def _without_classifier(self, conventions: Conventions) -> Spec:
        # What a classifier would read is what some layer makes; the arrays tell which.
        outer, units = self.skeleton.outer, self.skeleton.units
        shapes = [*outer.values(), *(shape for unit in units[-1:] for shape in unit.values())]
        for size in dict.fromkeys(shape[0] for shape in reversed(shapes)):
            with suppress(SpecError, GraphError):
                found = self._spec({**outer, "classifier.weight": (1, size)}, conventions)
                bias = conventions.classifier_bias  # which no array tells
                found = found.replace(num_classes=0, classifier_bias=bias)
                if not self.problems(found):
                    return found
        raise SpecError("the layers are of no network without a classifier")

    def _spec(self, outer: Mapping[str, Shape], conventions: Conventions) -> Spec:
        family = family_type(self.dialect.family)
        spec = family.from_shapes(outer, self.skeleton.units, conventions)
        base = base_model(spec)
        entry = catalog()[base] if base else spec
        return spec.replace(**{field: getattr(entry, field) for field in family.weightless})

    def problems(self, spec: Spec) -> list[str]:
        """Return what keeps the arrays from being exactly those of a network."""
        names, expected = self.dialect.names(spec.graph), self.dialect.shapes(spec.graph)
        missing = [f"{name}: missing" for name in names if name not in self.arrays]
        shapes = [
            f"{name}: shape {self.arrays[name].shape} must be {expected[ours]}"
            for name, ours in names.items()
            if name in self.arrays and self.arrays[name].shape != expected[ours]
        ]
        unexpected = [f"{name}: unexpected" for name in self.arrays if name not in names]
        return [self.prefix + problem for problem in (*shapes, *missing, *unexpected)]

    def recognized(self, spec: Spec, notes: tuple[str, ...]) -> Recognized:
        """Return the arrays as weights of a network that they fit, with notes on what was found."""
        weights = self.dialect.read(spec.graph, self.arrays)
        if self.prefix:
            notes = (*notes, f"every name begins with {self.prefix!r}")
        return Recognized(self.dialect, spec, weights, (*notes, *self.notes))


def read(dialect: Dialect, arrays: Weights, prefix: str) -> Reading | None:
    """Return the arrays as a dialect understands them, or None if some names are strange to it.

    Optimizers and averages keep arrays under the names of the weights with something in front
    (MindSpore's ``moments.``), and single numbers of their own: these are set aside.
    """
    named = {name.removeprefix(prefix): array for name, array in arrays.items()}
    left = {name for name in named for pattern in dialect.aside if fnmatchcase(name, pattern)}
    named = {name: array for name, array in named.items() if name not in left}
    for name, array in named.items():  # most dialects end here, at the first
        rest = name.partition(".")[2]
        if array.size != 1 and not dialect.may_name(name) and not dialect.may_name(rest):
            return None
    skeleton = dialect.skeleton({n: a.shape for n, a in named.items()})
    strange = skeleton.strange
    if len(strange) == len(named):
        return None
    others = set(strange)  # of a file of strangers, they may be thousands
    known = {name: array for name, array in named.items() if name not in others}
    aside: dict[str, int] = {}
    for name in strange:
        front, dot, rest = name.partition(".")
        if dot and rest in known:
            aside[f"{front}."] = aside.get(f"{front}.", 0) + 1
        elif named[name].size == 1:
            aside[name] = 0
        else:
            return None
    notes = tuple(
        f"{count} arrays under {name!r} are copies of the weights (an optimizer's, or an average): "
        "not read" if count else f"{name!r} is a single number, not a weight: not read"
        for name, count in aside.items()
    )  # fmt: skip
    if left:
        told = " and ".join(dialect.aside)
        notes += (f"{len(left)} arrays {told} are there for training, or twice: not read",)
    return Reading(dialect, prefix, known, skeleton, notes)


def prefixes(arrays: Weights) -> list[str]:
    """Return the beginnings that all names share, the shortest first: ``""``, ``"module."``.

    Single numbers may stand beside them: an average counts what it is of (``n_averaged``).
    """
    names = [name for name, array in arrays.items() if "." in name or array.size != 1]
    prefixes = [""]
    while names:
        first, dot, _ = names[0].removeprefix(prefixes[-1]).partition(".")
        longer = f"{prefixes[-1]}{first}{dot}"
        if not dot or not all(name.startswith(longer) for name in names):
            break
        prefixes.append(longer)
    return prefixes


def without_counters(arrays: Mapping[str, np.ndarray]) -> tuple[Weights, tuple[str, ...]]:
    """Return the arrays that are weights, and a note on those that only count."""
    kept = {name: array for name, array in arrays.items() if not name.endswith(f".{COUNTER}")}
    count = len(arrays) - len(kept)
    return kept, (f"{count} counters {COUNTER}: not weights, not read",) if count else ()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
