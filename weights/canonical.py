"""Canonical weights: node name + role → float32 array, in the order of the graph's nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.arch import Graph
from zoo.errors import WeightsError

Weights = dict[str, np.ndarray]


def check(graph: Graph, weights: Mapping[str, np.ndarray]) -> Weights:
    """Return the weights as contiguous float32 arrays in the graph's order, copied only if needed.

    Raises:
        WeightsError: names are missing, unexpected or of another shape; all of them are listed at
            once.
    """
    expected = graph.parameters
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    found = {name: np.asarray(weights[name]) for name in expected if name in weights}
    misshaped = [
        f"{name}: shape {array.shape} must be {expected[name].shape}"
        for name, array in found.items()
        if array.shape != expected[name].shape
    ]
    not_numbers = [
        f"{name}: dtype {array.dtype} must be a floating-point one"
        for name, array in found.items()
        if not np.issubdtype(array.dtype, np.floating)
    ]
    problems = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": misshaped,
        "of another type": not_numbers,
    }
    if any(problems.values()):
        lines = [
            f"  {len(rows)} {what}:\n{listed(rows, most=len(rows))}"
            for what, rows in problems.items()
            if rows
        ]
        raise WeightsError("the weights do not fit the network:\n" + "\n".join(lines))
    return {name: np.asarray(array, np.float32, order="C") for name, array in found.items()}


def listed(rows: list[str], most: int = 20) -> str:
    """Return rows indented, one a line; a long list is cut and says by how much."""
    lines = [f"    {row}" for row in rows[:most]]
    return "\n".join([*lines, f"    … and {len(rows) - most} more"] if len(rows) > most else lines)
