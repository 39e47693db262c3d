"""The sets of arrays inside a checkpoint: dicts in dicts, and what else training leaves there."""

from __future__ import annotations

import numpy as np

from weights.formats.arrays import quoted
from weights.formats.contents import Arrays, Contents
from weights.formats.pth.inert import Global, Opaque, Record, printable
from weights.formats.pth.numpy_objects import PickledArray
from weights.formats.pth.tensors import Dtype, Records, Storage, Tensor
from zoo.errors import WeightsError

MAX_DEPTH = 4
"""Dicts in dicts: the deepest in use is {"model": {"encoder": {…}}}."""
MAX_NOTES = 40
MAX_ENTRIES = 1000


def contents_of(found: object, records: Records) -> Contents:
    """Return every dict of named arrays under the path that leads to it.

    Raises:
        WeightsError: there is none, or an array does not fit its bytes.
    """
    if not isinstance(found, Record):
        raise WeightsError(f"holds {_described(found)}, not a dict of arrays")
    walk = _Walk(records)
    notes = walk.into(found, ())
    if not walk.entries:
        what = "; ".join(notes[:5]) if notes else "an empty dict"
        raise WeightsError(f"holds no arrays by name: {what}")
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES:] = [f"and {len(notes) - MAX_NOTES} more that are not arrays"]
    return Contents(walk.entries, notes=tuple(notes))


class _Walk:
    """One pass over the dicts: each is entered once, however many paths lead to it."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.entries: dict[str, Arrays] = {}
        self.seen: dict[int, tuple[str, ...]] = {}  # id of a dict → the path it was entered by

    def into(self, record: Record, path: tuple[str, ...]) -> list[str]:
        """Add a dict's arrays as an entry, then those of the dicts in it; return the notes."""
        self.seen[id(record)] = path
        arrays: Arrays = {}
        inner: list[tuple[str, Record]] = []
        notes: list[str] = []
        for key, value in record.items.items():
            if isinstance(value, Record):
                inner.append((key, value))
                continue
            array = self.array(value, (*path, key))
            if isinstance(array, np.ndarray):
                arrays[key] = array
            else:
                what = _text_of(value) if array is None else f": {array}, not read"
                _tell(notes, (*path, key), what)
        if record.unnamed:
            _tell(notes, path, f": {record.unnamed} values under keys that are not text, not read")
        if arrays:
            self.add(path, arrays)
        for key, child in inner:
            notes += self.descend(child, (*path, key))
        return notes

    def descend(self, record: Record, path: tuple[str, ...]) -> list[str]:
        """Enter a dict, unless it is one without arrays for us; return the notes."""
        first = self.seen.get(id(record))
        before = len(self.entries)
        notes: list[str] = []
        if record.items.keys() >= {"state", "param_groups"}:
            _tell(notes, path, ": optimizer state, not read")
        elif first is not None:
            arrays = self.entries.get(".".join(first))
            if arrays is None:
                _tell(notes, path, f": the same as {quoted('.'.join(first))}, not read")
            else:
                self.add(path, arrays)
        elif len(path) > MAX_DEPTH:
            _tell(notes, path, ": a dict too deep inside others, not read")
        else:
            notes = self.into(record, path)
            if len(self.entries) == before:
                notes.clear()
                _tell(notes, path, f": a dict of {len(record)} without arrays, not read")
        return notes

    def add(self, path: tuple[str, ...], arrays: Arrays) -> None:
        name = ".".join(path)
        if len(self.entries) >= MAX_ENTRIES:
            raise WeightsError(f"more than {MAX_ENTRIES} dicts of arrays")
        if name in self.entries:
            raise WeightsError(f"two dicts of arrays have the path {quoted(name)}")
        self.entries[name] = arrays

    def array(self, value: object, path: tuple[str, ...]) -> np.ndarray | str | None:
        """Return the array that a value is, or why it is left out; None if it is something else."""
        if isinstance(value, Tensor):
            return self.records.array(value, ".".join(path))
        if isinstance(value, PickledArray):
            found = value.array(".".join(path))
            return "NumPy array of something but plain numbers" if found is None else found
        return None


def _tell(notes: list[str], path: tuple[str, ...], what: str) -> None:
    """Add a note. The first ones are of use to somebody, the others are only counted."""
    if len(notes) > MAX_NOTES:
        notes.append("")
    else:
        notes.append(f"entry {quoted('.'.join(path))}{what}" if path else f"file{what}")


def _text_of(value: object) -> str:
    """Return what a note says of something that is no array: the value, where it is a short one."""
    if value is None or isinstance(value, bool | int | float):
        return f" = {printable(str(value), 40)}"
    if isinstance(value, str):
        return f" = {quoted(value)}"
    return f": {_described(value)}, not read"


def _described(value: object) -> str:
    """Tell what kind of thing a value is, and nothing of what is inside it."""
    match value:
        case Opaque() | Global():
            return value.name
        case Dtype():
            return f"torch.{value.name}"
        case Tensor() | PickledArray():
            return "one array without a name"
        case Storage():
            return "a storage without a shape"
        case list() | tuple():
            return f"a {type(value).__name__} of {len(value)}"
        case _:
            return f"a value of type {type(value).__name__}"
