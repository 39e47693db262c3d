"""The most accurate published weights that a network can have exactly as it is asked for."""

from __future__ import annotations

import dataclasses

import numpy as np

from weights.pretrained.catalog import BEST, find, list_pretrained
from weights.pretrained.entry import Pretrained
from zoo.arch.spec import Conventions
from zoo.errors import ConventionError, WeightsError
from zoo.families.registry import catalog
from zoo.passes.conventions import convert_conventions


def best(model: str, conventions: Conventions | None = None) -> Pretrained:
    """Return the published weights with the highest top-1 accuracy.

    Args:
        model: a name of `zoo.list_models`.
        conventions: those that the network has to have: weights count that are of the same
            function up to the order of channels. None: each has its own.

    Raises:
        WeightsError: none has a known accuracy, or none can be had in the conventions; those that
            there are are named, with what keeps them out.
    """
    entries = list_pretrained(model)
    known = sorted(
        (entry for entry in entries if entry.top1 is not None),
        key=lambda entry: (-(entry.top1 or 0), entry.tag),
    )
    if not known:
        there = f": {', '.join(entry.tag for entry in entries)}" if entries else ""
        raise WeightsError(
            f"weights {BEST!r}: no published weights of {model} have a known accuracy{there}"
        )
    refused: dict[str, str] = {}
    for entry in known:
        preset = entry.conventions or ""
        if preset not in refused:
            refused[preset] = _refusal(entry, conventions)
        if not refused[preset]:
            return entry
    reasons = "\n".join(
        f"  {', '.join(e.tag for e in known if (e.conventions or '') == preset)}: {why}"
        for preset, why in refused.items()
    )
    raise WeightsError(
        f"weights {BEST!r}: none of the {len(known)} published weights of {model} can be had in "
        f"the conventions asked for:\n{reasons}"
    )


def named(model: str, text: str, conventions: Conventions | None = None) -> Pretrained:
    """Return the published weights that a text names: a tag, or ``"best"``.

    Raises:
        UnknownNameError: it is no tag of the model's.
        WeightsError: as `best`.
    """
    return best(model, conventions) if text == BEST else find(model, text)


def _refusal(entry: Pretrained, conventions: Conventions | None) -> str:
    """Return what keeps weights from being had in some conventions; "" where nothing does."""
    spec = catalog()[entry.model]
    if entry.conventions is not None:
        spec = spec.replace(conventions=entry.conventions)
    if conventions is None or conventions == spec.conventions:
        return ""
    # Ones: what is left out where it is zero, as a bias may be, is not in weights that one trains.
    ones = {
        name: np.broadcast_to(np.float32(1), parameter.shape)
        for name, parameter in spec.graph.parameters.items()
    }
    try:
        convert_conventions(spec, dataclasses.replace(spec, conventions=conventions), ones)
    except ConventionError as error:
        return str(error)
    return ""
