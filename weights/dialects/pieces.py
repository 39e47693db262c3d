"""Group convolutions that a code base has as lists of convolutions, one a group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weights.canonical import Weights
from zoo.errors import WeightsError

PIECES = ".convs."
"""What stands between the name of a split convolution and the number of the group."""


def merge_pieces(arrays: Mapping[str, np.ndarray]) -> Weights:
    """Return the arrays with the pieces of split convolutions joined: they are runs of its rows.

    Raises:
        WeightsError: a piece is missing, or of another shape than its siblings.
    """
    found: Weights = {}
    pieces: dict[str, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, separator, rest = name.rpartition(PIECES)
        number, _, role = rest.partition(".")
        if not separator or not number.isdecimal() or len(number) > 4:
            found[name] = array
            continue
        whole = f"{layer}.{role}"
        found[whole] = array  # keeps the place; replaced below
        pieces.setdefault(whole, {})[int(number)] = array
    for whole, parts in pieces.items():
        layer, _, role = whole.rpartition(".")
        missing = [i for i in range(max(parts) + 1) if i not in parts]
        if missing:
            raise WeightsError(
                f"{layer}{PIECES}{missing[0]}.{role}: missing, while {layer}{PIECES}{max(parts)}"
                f".{role} is there"
            )
        shapes = {part.shape for part in parts.values()}
        if len(shapes) > 1:
            raise WeightsError(
                f"{layer}{PIECES}*.{role}: the pieces must have one shape (shapes {sorted(shapes)})"
            )
        joined = [parts[i] for i in range(len(parts))]
        found[whole] = np.concatenate(joined) if joined[0].ndim else joined[0]
    return found
