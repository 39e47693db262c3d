"""Which of the sets of arrays in a file are the weights."""

from __future__ import annotations

import re

from weights.formats import Arrays, Contents
from zoo.errors import WeightsError, unknown

USUAL = ("", "state_dict", "model_state_dict", "model", "net", "network", "params", "weights")
"""Where training scripts put the weights, by the last part of the path; the first is preferred."""

_AVERAGE = re.compile(r"(^|[._])(ema|swa|averaged?)([._]|$)", re.IGNORECASE)


def choose(contents: Contents, wanted: str | None = None) -> tuple[str, Arrays, tuple[str, ...]]:
    """Return (path, arrays, notes) of the weights in a file; the notes tell what was left.

    Args:
        contents: what the file holds.
        wanted: the path of the set to take; by default the weights that were trained, not an
            average of them.

    Raises:
        UnknownNameError: there is no such set.
        WeightsError: there are several, and none is in a usual place.
    """
    entries = contents.entries
    if wanted is not None:
        if wanted not in entries:
            raise unknown("entry", wanted, entries)
        path = wanted
    else:
        path = _default(list(entries))
    others = [
        f"entry {other!r} ({len(entries[other])} arrays"
        f"{', an average of the weights' if _AVERAGE.search(other) else ''}): "
        f"not read; entry={other!r} (--entry) takes it"
        for other in entries
        if other != path
    ]
    return path, entries[path], (*contents.notes, *others)


def _default(paths: list[str]) -> str:
    trained = [path for path in paths if not _AVERAGE.search(path)] or paths
    if len(trained) == 1:
        return trained[0]
    for usual in USUAL:
        found = [path for path in trained if path.rpartition(".")[2] == usual]
        if len(found) == 1:
            return found[0]
    raise WeightsError(
        "the file holds several sets of arrays; say which with entry= (--entry): "
        + ", ".join(repr(path) for path in paths)
    )
