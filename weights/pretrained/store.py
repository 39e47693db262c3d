"""Published weights as a checkpoint: fetched once, converted once to our own file."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

from weights.checkpoint import Checkpoint, load_weights, save_weights
from weights.pretrained.catalog import find
from weights.pretrained.download import cache_path, fetch
from weights.pretrained.entry import Pretrained
from weights.pretrained.hashes import pin, pinned, sha256
from zoo.errors import WeightsError


def load_pretrained(model: str, tag: str, *, progress: bool = False) -> Checkpoint:
    """Return published weights by name, downloading and converting them on first use.

    Args:
        model: a name of `zoo.list_models`.
        tag: who trained on what, ``"mindcv/imagenet1k"``.
        progress: show a bar while downloading.

    Raises:
        UnknownNameError: there are no such weights.
        WeightsError: the file cannot be had, or does not hold what the catalog says.
    """
    entry = find(model, tag)
    if entry.packaged:
        return _as_published(load_weights(fetch(entry), model=model), entry)
    if entry.on_hub:  # whose cache is another's, and which mostly has files like ours
        return _as_published(_read(fetch(entry, progress=progress), entry), entry)
    original = cache_path(entry)
    converted = original.with_name(f"{original.stem}-zoo.safetensors")
    digest = sha256(converted)
    if digest is not None and digest == pinned(converted):
        with suppress(WeightsError):  # of an older version: made again from the original
            return _as_published(load_weights(converted, model=model), entry)
    path = fetch(entry, progress=progress)
    found = _read(path, entry)
    try:
        how = entry.preprocessing
        save_weights(converted, found.spec, found.weights, preprocessing=how, force=True)
        pin(converted, sha256(converted) or "")
    except OSError:
        return _as_published(found, entry)  # a cache that can be read only is one
    return _as_published(load_weights(converted, model=model), entry)


def _read(path: Path, entry: Pretrained) -> Checkpoint:
    """Return the weights in a publisher's file."""
    preset = entry.preset or None
    return load_weights(path, model=entry.model, dialect=entry.dialect, conventions=preset)


def _as_published(found: Checkpoint, entry: Pretrained) -> Checkpoint:
    notes = (f"published as {entry.tag}, {entry.license}: {entry.url}", *found.notes)
    return dataclasses.replace(found, notes=notes, stated=entry.preprocessing)
