"""Which code base, which network: read off the names and shapes of arrays, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights.canonical import Weights, listed
from weights.dialects import Dialect, Skeleton, dialects, find_dialect, merge_pieces
from zoo.arch import Shape, Spec
from zoo.arch.spec import Conventions
from zoo.errors import GraphError, SpecError, WeightsError, unknown
from zoo.families import base_model
from zoo.families.registry import catalog, family_type, models

COUNTER = "num_batches_tracked"
"""What PyTorch's batch norm counts; no output depends on it, and MindSpore has none."""

JOINED = "group convolutions are split, one convolution a group: joined"


@dataclass(frozen=True)
class Recognized:
    """What arrays turned out to be: canonical ``weights`` of the network ``spec``."""

    dialect: Dialect
    spec: Spec
    weights: Weights
    notes: tuple[str, ...]


def recognize(
    arrays: Mapping[str, np.ndarray],
    *,
    dialect: str | None = None,
    like: Spec | None = None,
    conventions: str | Conventions | None = None,
) -> Recognized:
    """Return which network the arrays are of, and its canonical weights.

    Args:
        arrays: name → array, as a file holds them.
        dialect: consider this one only.
        like: the network that is expected. Its conventions are taken where the names do not tell
            them, and what does not fit is told as a difference from it.
        conventions: a preset or conventions that the network has, whatever the code base.

    Raises:
        WeightsError: the names are of no dialect or of several, arrays are missing, unexpected or
            mis-shaped, or more than one set of conventions is possible: all are listed.
        UnknownNameError: there is no such dialect, or no such preset in the family.
        SpecError: ``conventions`` are another family's.
    """
    considered = find_dialect(dialect) if dialect else list(dialects())
    considered = [d for d in considered if _is_possible(family_type(d.family), like)]
    arrays, notes = _without_counters(arrays)
    whole = merge_pieces(arrays)
    split = whole.keys() != arrays.keys()
    arrays = whole
    # First those of the expected family; then, of dialects that differ in this alone, the one that
    # splits as the file does.
    considered = sorted(considered, key=lambda d: (_is_other(d, like), d.splits != split))
    readings = [
        reading
        for prefix in _prefixes(arrays)
        for candidate in considered
        if (reading := _read(candidate, arrays, prefix))
    ]
    if not readings:
        raise WeightsError(_of_no_dialect(considered, arrays))
    if conventions is not None:
        _require_admitted(readings, conventions)
    fitting: dict[str, tuple[str, Recognized]] = {}
    misfits: list[tuple[int, str]] = []
    for reading in readings:
        for preset, assumed in _conventions(reading, like, conventions):
            try:
                spec = _as_expected(reading.spec(assumed, like), like)
            except (SpecError, GraphError):
                continue
            problems = reading.problems(spec)
            if not problems:
                joined = (JOINED,) if split and not reading.dialect.splits else ()
                found = reading.recognized(spec, (*notes, *joined))
                fitting.setdefault(spec.to_json(), (preset, found))
            else:
                misfits.append(_told(reading, spec, problems))
        if fitting:
            break  # a dialect that comes later says less
    if not fitting:
        misfits += [
            _told(reading, near, problems)
            for reading in readings
            for near, problems in _near(reading, like, conventions) or _near(reading, None, None)
        ]
        nothing = "the arrays are of no network in the conventions asked for"
        raise WeightsError(min(misfits, default=(0, nothing))[1])
    if len(fitting) > 1:
        raise WeightsError(_ambiguous(list(fitting.values())))
    return next(iter(fitting.values()))[1]


@dataclass(frozen=True)
class _Reading:
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
        outer = self.skeleton.outer
        if like is not None and not like.told_by_shapes and like.family == self.dialect.family:
            return like
        if like is not None and like.num_classes == 0 and "classifier.weight" not in outer:
            return self._without_classifier(conventions)
        return self._spec(outer, conventions)

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
        names, expected = self.dialect.names(spec.graph), spec.graph.parameters
        missing = [f"{name}: missing" for name in names if name not in self.arrays]
        shapes = [
            f"{name}: shape {self.arrays[name].shape} must be {expected[ours].shape}"
            for name, ours in names.items()
            if name in self.arrays and self.arrays[name].shape != expected[ours].shape
        ]
        unexpected = [f"{name}: unexpected" for name in self.arrays if name not in names]
        return [self.prefix + problem for problem in (*shapes, *missing, *unexpected)]

    def recognized(self, spec: Spec, notes: tuple[str, ...]) -> Recognized:
        weights = self.dialect.read(spec.graph, self.arrays)
        if self.prefix:
            notes = (*notes, f"every name begins with {self.prefix!r}")
        return Recognized(self.dialect, spec, weights, (*notes, *self.notes))


def _read(dialect: Dialect, arrays: Weights, prefix: str) -> _Reading | None:
    """Return the arrays as a dialect understands them, or None if some names are strange to it.

    Optimizers and averages keep arrays under the names of the weights with something in front
    (MindSpore's ``moments.``), and single numbers of their own: these are set aside.
    """
    named = {name.removeprefix(prefix): array for name, array in arrays.items()}
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
    return _Reading(dialect, prefix, known, skeleton, notes)


def _conventions(
    reading: _Reading, like: Spec | None, told: str | Conventions | None
) -> Iterator[tuple[str, Conventions]]:
    """Yield (preset, conventions) that may be: those told, the code base's, or any.

    None if those told are another family's.
    """
    family = family_type(reading.dialect.family)
    expected = like.conventions if like is not None and type(like) is family else None
    told = told or reading.dialect.conventions or expected
    if told is None:
        yield from family.presets.items()
    elif not _admits(family, told):
        return
    elif isinstance(told, str):
        yield told, family.preset(told)
    else:
        yield "custom", told


def _admits(family: type[Spec], conventions: str | Conventions) -> bool:
    if isinstance(conventions, str):
        return conventions in family.presets
    return type(conventions) is family.conventions_type


def _require_admitted(readings: list[_Reading], conventions: str | Conventions) -> None:
    """Raise unless one of the families that the names are of has these conventions."""
    families = dict.fromkeys(family_type(reading.dialect.family) for reading in readings)
    if any(_admits(family, conventions) for family in families):
        return
    if isinstance(conventions, str):
        presets = {preset for family in families for preset in family.presets}
        raise unknown(f"{next(iter(families)).family} preset", conventions, presets)
    kinds = " or ".join(family.conventions_type.__name__ for family in families)
    raise SpecError(f"conventions (={conventions!r}) must be {kinds}")


def _is_possible(family: type[Spec], like: Spec | None) -> bool:
    """Return whether arrays can be of a family: of one that shapes do not tell, if it is known."""
    return family.told_by_shapes or type(like) is family


def _is_other(dialect: Dialect, like: Spec | None) -> bool:
    return like is not None and dialect.family != like.family


def _as_expected(found: Spec, like: Spec | None) -> Spec:
    """Return the expected network where the arrays are its as well: they hold no strides, for one.

    `Spec.weightless` fields, classes, input and conventions stay as they were found.
    """
    if like is None or type(like) is not type(found):
        return found
    told = ("num_classes", "in_channels", "conventions", *found.weightless)
    expected = dataclasses.replace(like, **{field: getattr(found, field) for field in told})
    with suppress(GraphError):  # the conventions found may not admit it
        if expected != found and _shapes(expected) == _shapes(found):
            return expected
    return found


def _shapes(spec: Spec) -> dict[str, Shape]:
    return {name: parameter.shape for name, parameter in spec.graph.parameters.items()}


def _near(
    reading: _Reading, like: Spec | None, told: str | Conventions | None
) -> list[tuple[Spec, list[str]]]:
    """Return networks that arrays which are of none may have been meant as, and what is wrong."""
    family = family_type(reading.dialect.family)
    theirs = told or reading.dialect.conventions
    if theirs is not None and not _admits(family, theirs):
        return []
    changes: dict[str, Any] = {}
    if theirs is not None:
        changes["conventions"] = family.preset(theirs) if isinstance(theirs, str) else theirs
    if classes := reading.skeleton.outer.get("classifier.weight", ())[:1]:
        changes["num_classes"] = max(1, *classes)  # any number of them is as near
    networks = list(models(family.family).values())
    if like is not None and type(like) is family:
        networks = [like]
    found: dict[Spec, tuple[Spec, list[str]]] = {}
    for spec in networks:
        near = dataclasses.replace(spec, **changes)
        key = dataclasses.replace(near, image_size=1)  # those for small images may be the same
        # Channels may not divide in their conventions, the dialect may not name all layers.
        with suppress(GraphError, WeightsError):
            if key not in found and (problems := reading.problems(near)):
                found[key] = near, problems
    return list(found.values())


def _told(reading: _Reading, spec: Spec, problems: list[str]) -> tuple[int, str]:
    """Return (how much is wrong, the text that says so)."""
    name = base_model(spec) or spec.family
    text = (
        f"{len(problems)} of {len(reading.arrays)} arrays do not fit {name} in dialect "
        f"{reading.dialect.name}:\n{listed(problems)}"
    )
    return len(problems), text


def _ambiguous(found: list[tuple[str, Recognized]]) -> str:
    first = found[0][1]
    base = base_model(first.spec) or first.spec.family
    rows = []
    others = [dataclasses.asdict(other.spec.conventions) for _, other in found]
    for (preset, _), theirs in zip(found, others, strict=True):
        differing = ", ".join(
            f"{field}={value!r}"
            for field, value in theirs.items()
            if any(other[field] != value for other in others)
        )
        rows.append(f"conventions={preset!r}: {differing}")
    return (
        f"the arrays are those of {base} in dialect {first.dialect.name}, whose names do not "
        f"tell the conventions; say which it is (model= or conventions=):\n{listed(rows)}"
    )


def _of_no_dialect(considered: list[Dialect], arrays: Weights) -> str:
    """Return the text for names that no dialect knows all of."""
    shapes = {name: array.shape for name, array in arrays.items()}
    known = [set(shapes) - set(d.skeleton(shapes).strange) for d in considered]
    best = max(range(len(known)), key=lambda i: len(known[i]))
    rest = [name for name in shapes if name not in known[best]]
    if not known[best]:
        some = ", ".join(list(shapes)[:3])
        names = ", ".join(dict.fromkeys(d.name for d in considered))
        return f"{len(shapes)} names ({some}, …) are of no known dialect ({names})"
    second = max(range(len(known)), key=lambda i: len(known[i] & set(rest)))
    first, other = (f"{considered[i].name} for {considered[i].family}" for i in (best, second))
    text = f"{len(known[best])} of {len(shapes)} names are of dialect {first}"
    if theirs := [name for name in rest if name in known[second]]:
        text += f", {len(theirs)} of dialect {other} (mixed dialects)"
    return f"{text}; not of {considered[best].name}:\n{listed(rest)}"


def _prefixes(arrays: Weights) -> list[str]:
    """Return the beginnings that all names share, the shortest first: ``""``, ``"module."``."""
    prefixes, names = [""], list(arrays)
    while names:
        first, dot, _ = names[0].removeprefix(prefixes[-1]).partition(".")
        longer = f"{prefixes[-1]}{first}{dot}"
        if not dot or not all(name.startswith(longer) for name in names):
            break
        prefixes.append(longer)
    return prefixes


def _without_counters(arrays: Mapping[str, np.ndarray]) -> tuple[Weights, tuple[str, ...]]:
    kept = {name: array for name, array in arrays.items() if not name.endswith(f".{COUNTER}")}
    count = len(arrays) - len(kept)
    return kept, (f"{count} counters {COUNTER}: not weights, not read",) if count else ()
