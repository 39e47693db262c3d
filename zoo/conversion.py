"""From any file of weights to any other, with proof that the network stayed the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

import backends
import weights as arrays
from weights import Checkpoint, describe, find_dialect, formats
from zoo import families
from zoo.arch import Spec
from zoo.arch.spec import Conventions
from zoo.errors import InputError, SpecError, WeightsError, unknown
from zoo.families.stems import with_stem_of
from zoo.files import require_free
from zoo.loading import Network, fit, from_source, opened
from zoo.models import GROUP_CONV, create
from zoo.proof.measure import relative_maximum

REFERENCE = ("numpy", "numpy")
"""Verified by the float64 reference, before and after."""

ADMITTED = {True: 1e-12, False: 5e-6}
"""Largest relative error of a verification: float64 on both sides (sums in another order), or not.
Measured: 0 where names change only, 2e-15 where channels are permuted; 1e-6 between frameworks."""

PIXELS = 64
"""Height and width of the image that networks are verified on, where they admit it."""


@dataclass(frozen=True, repr=False)
class Conversion:
    """What a conversion did.

    Attributes:
        source: what was read.
        path: what was written.
        format, dialect: in which format and whose names.
        spec: the network as it was written.
        backends: those that ran the network before and after; empty if it was not verified.
        error: max|after - before| / max|before| of the logits; None if not compared.
        notes: what was not carried over, and what was adapted.
    """

    source: Checkpoint
    path: Path
    format: str
    dialect: str
    spec: Spec
    backends: tuple[str, ...]
    error: float | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Conversion {self.source.path} → {self.path}, names of {self.dialect}>"

    def summary(self) -> str:
        """Return what was done, in a few lines."""
        lines = [
            self.source.summary(),
            f"{self.path}: {self.format} file, names of {self.dialect}",
            *([describe(self.spec)] if self.spec != self.source.spec else []),
            *(f"note: {note}" for note in self.notes),
        ]
        if self.error is not None:
            before, after = self.backends
            lines.append(f"verified: {before} before, {after} after, error {self.error:.1e}")
        elif self.backends:
            lines.append("verified: the file holds what was meant; no function to compare with")
        return "\n".join(lines)


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    model: Network | None = None,
    from_dialect: str | None = None,
    to_dialect: str | None = None,
    conventions: str | Conventions | None = None,
    format: str | None = None,
    entry: str | None = None,
    group_conv: str = "native",
    num_classes: int | None = None,
    in_channels: int | None = None,
    seed: int = 0,
    verify: Sequence[str] | None = REFERENCE,
    force: bool = False,
) -> Conversion:
    """Convert weights between formats, code bases and conventions, exactly.

    No framework is needed. The destination appears only when it has been read back and the network
    in the source's conventions and the one in the file have given the same logits.

    Args:
        source: a file that `load_weights` reads, or published weights by name, with ``model``.
        destination: the file to write; its suffix decides the format.
        model: the network that is expected, where the source does not tell its conventions; what
            `zoo.adopt` returned reads further files of its code base.
        from_dialect: whose names the source has; by default found.
        to_dialect: whose names the destination gets: a code base's brings its conventions with it.
            By default our own, which keep the source's conventions.
        conventions: to convert to, for our own names: a preset, or conventions. With a source that
            does not tell its own, give ``model`` as a spec.
        format: instead of the suffix's.
        entry: which set of arrays in the source.
        group_conv: ``"split"`` writes one convolution a group.
        num_classes: start a new classifier, as `create` does with ``adapt``.
        in_channels: adapt the first convolution likewise.
        seed: of a new classifier.
        verify: the backends that run the network before and after; None to leave it out.
        force: replace an existing destination.

    Raises:
        WeightsError: the source cannot be understood, or the verification failed. The destination
            is then as it was.
        OutputError: the destination exists or cannot be written.
        ConventionError: source and destination are not the same function; the fields are named.
        UnknownNameError, SpecError: an argument that does not exist, or two that contradict.
    """
    destination = Path(destination)
    if group_conv not in GROUP_CONV:
        raise unknown("group_conv", group_conv, GROUP_CONV)
    written_as = format or formats.format_of(destination).name
    require_free(destination, force)
    if to_dialect is not None:
        find_dialect(to_dialect)
    engines = [backends.load(name) for name in verify or ()]
    if engines and len(engines) != 2:
        raise SpecError(f"verify (={verify!r}) must name two backends, for before and after")

    known = opened(model) if model is not None else None
    like = known if isinstance(known, Checkpoint | None) else families.spec(known)
    checkpoint = from_source(source, like, dialect=from_dialect, entry=entry)
    dialect = to_dialect or arrays.own_dialect(destination)
    target = _target(checkpoint.spec, dialect, conventions)
    changes = {"num_classes": num_classes, "in_channels": in_channels}
    target = target.replace(**{name: value for name, value in changes.items() if value is not None})
    found, notes = fit(checkpoint, target, adapt=True, seed=seed)
    errors: list[float | None] = []
    arrays.save_weights(
        destination,
        target,
        found,
        dialect=dialect,
        format=format,
        split=group_conv == "split",
        preprocessing=checkpoint.preprocessing,
        force=force,
        verify=(lambda path: errors.append(_verified(path, checkpoint, target, found, verify)))
        if verify
        else None,
    )
    return Conversion(
        source=checkpoint,
        path=destination,
        format=written_as,
        dialect=dialect,
        spec=target,
        backends=tuple(verify or ()),
        error=errors[0] if errors else None,
        notes=notes,
    )


def _target(spec: Spec, dialect: str, conventions: str | Conventions | None) -> Spec:
    """Return the network in the conventions that the destination asks for, its stem as it is."""
    (chosen,) = find_dialect(dialect, spec.family)
    preset = chosen.preset(spec.repeats)
    if preset is None:
        return spec if conventions is None else spec.replace(conventions=conventions)
    theirs = spec.preset(preset)
    told = spec.preset(conventions) if isinstance(conventions, str) else conventions
    if told is not None and told != theirs:
        raise SpecError(
            f"conventions (={conventions!r}) must be {preset!r}, those of the code "
            f"base whose names dialect {dialect} has"
        )
    return with_stem_of(spec, spec.replace(conventions=theirs))


def _verified(
    path: Path,
    before: Checkpoint,
    target: Spec,
    meant: arrays.Weights,
    verify: Sequence[str],
) -> float | None:
    """Return the error of the written network against the one read, or None if adapted.

    Raises:
        WeightsError: the file does not hold what was meant, or computes something else.
    """
    after = arrays.load_weights(path, model=target, conventions=target.conventions)
    for name, array in meant.items():
        if after[name].tobytes() != array.tobytes():
            raise WeightsError(f"{path}: {name}: read back, the array is another one")
    del after  # what follows runs the same bits, and need not hold them twice
    same = all(
        getattr(before.spec, field) == getattr(target, field)
        for field in ("num_classes", "in_channels")
    )
    if not same:
        return None
    size = before.spec.image_size
    if size > PIXELS:
        with suppress(InputError):
            before.spec.graph.check_input((1, target.in_channels, PIXELS, PIXELS))
            size = PIXELS
    x = np.random.default_rng(0).standard_normal((1, target.in_channels, size, size), np.float32)
    expected = _logits(verify[0], before.spec, before.weights, x)
    found = _logits(verify[1], target, meant, x)
    if not np.isfinite(expected).all():  # NaN in the weights, which a conversion carries over
        error = 0.0 if np.array_equal(found, expected, equal_nan=True) else float("inf")
    else:
        error = relative_maximum(found, expected)
    admitted = ADMITTED[set(verify) == {"numpy"}]
    if not error <= admitted:
        raise WeightsError(
            f"{path}: the converted network computes something else: error {error:.1e} "
            f"({verify[0]} before, {verify[1]} after) must be at most {admitted:.0e}"
        )
    return error


def _logits(backend: str, spec: Spec, weights: arrays.Weights, x: np.ndarray) -> np.ndarray:
    model = create(spec, backend=cast(backends.Name, backend), weights=weights)
    return backends.load(backend).predict(model, x)[0]
