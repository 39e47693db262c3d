"""Which code base, which network: read off the names and shapes of arrays, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from weights.canonical import Weights, listed
from weights.dialects import Dialect, dialects, find_dialect, merge_pieces
from weights.reading import Reading, Recognized, prefixes, read, without_counters
from zoo.arch import Shape, Spec
from zoo.arch.spec import Conventions
from zoo.errors import GraphError, SpecError, WeightsError, unknown
from zoo.families import base_model
from zoo.families.registry import family_type, models

JOINED = "group convolutions are split, one convolution a group: joined"


def recognize(
    arrays: Mapping[str, np.ndarray],
    *,
    dialect: str | None = None,
    names: Dialect | None = None,
    like: Spec | None = None,
    conventions: str | Conventions | None = None,
    framework: str | None = None,
) -> Recognized:
    """Return which network the arrays are of, and its canonical weights.

    Args:
        arrays: name → array, as a file holds them.
        dialect: consider this one only.
        names: consider this one first.
        like: the network that is expected. Its conventions are taken where the names do not tell
            them, and what does not fit is told as a difference from it.
        conventions: a preset or conventions that the network has, whatever the code base.
        framework: whose file it is, for code bases of two frameworks that share their names.

    Raises:
        WeightsError: the names are of no dialect or of several, arrays are missing, unexpected or
            mis-shaped, or more than one set of conventions is possible: all are listed.
        UnknownNameError: there is no such dialect, or no such preset in the family.
        SpecError: ``conventions`` are another family's.
    """
    considered = find_dialect(dialect) if dialect else list(dialects())
    considered = [d for d in considered if _is_possible(family_type(d.family), like)]
    arrays, notes = without_counters(arrays)
    whole = merge_pieces(arrays)
    split = whole.keys() != arrays.keys()
    arrays = whole
    # First those of the expected family; then, of dialects that differ in this alone, the one of
    # the file's framework, that splits as the file does, and of the expected conventions.
    considered = sorted(
        considered,
        key=lambda d: (
            _is_other(d, like),
            framework not in (None, d.framework),
            d.splits != split,
            _disagrees(d, like),
        ),
    )
    considered = [*([names] if names else []), *considered]
    readings = [
        reading
        for prefix in prefixes(arrays)
        for candidate in considered
        if (reading := read(candidate, arrays, prefix))
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


def _conventions(
    reading: Reading, like: Spec | None, told: str | Conventions | None
) -> Iterator[tuple[str, Conventions]]:
    """Yield (preset, conventions) that may be: those told, the code base's, or any.

    None if those told are another family's.
    """
    family = family_type(reading.dialect.family)
    expected = like.conventions if like is not None and type(like) is family else None
    told = told or reading.dialect.preset(len(reading.skeleton.units)) or expected
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


def _require_admitted(readings: list[Reading], conventions: str | Conventions) -> None:
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


def _disagrees(dialect: Dialect, like: Spec | None) -> bool:
    if like is None or like.family != dialect.family or dialect.conventions is None:
        return False
    return like.conventions != like.presets[dialect.conventions]


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
    reading: Reading, like: Spec | None, told: str | Conventions | None
) -> list[tuple[Spec, list[str]]]:
    """Return networks that arrays which are of none may have been meant as, and what is wrong."""
    family = family_type(reading.dialect.family)
    theirs = told or reading.dialect.preset(len(reading.skeleton.units))
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


def _told(reading: Reading, spec: Spec, problems: list[str]) -> tuple[int, str]:
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
    head = {name.rpartition(".")[0] for name in rest}
    named = [theirs for ours, theirs in considered[best].rules if ours == "classifier"]
    if len(head) == 1 and named and not any(f"{named[0]}.weight" == name for name in shapes):
        return (
            f"{len(known[best])} of {len(shapes)} names are of dialect {considered[best].name} for "
            f"{considered[best].family}, whose classifier is {named[0]!r}, not {head.pop()!r}: the "
            "head is of other code; rename it, or leave it out (num_classes=0)"
        )
    second = max(range(len(known)), key=lambda i: len(known[i] & set(rest)))
    first, other = (f"{considered[i].name} for {considered[i].family}" for i in (best, second))
    text = f"{len(known[best])} of {len(shapes)} names are of dialect {first}"
    if theirs := [name for name in rest if name in known[second]]:
        text += f", {len(theirs)} of dialect {other} (mixed dialects)"
    return f"{text}; not of {considered[best].name}:\n{listed(rest)}"
