"""How two results are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def relative_maximum(found: np.ndarray, reference: np.ndarray) -> float:
    """Return max|found - reference| / max|reference|; NaN and other shapes are infinitely far."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    scale = float(np.abs(reference).max())
    return float(np.abs(found - reference).max()) / (scale or 1.0)


def faults(found: Arrays, reference: Arrays, dtype: str) -> dict[str, str]:
    """Return what keeps arrays from being compared at all, by name and in the reference's order.

    A backend that hands out fewer images, integers or another precision than it was asked for is
    not close to the reference by accident: it did something else.
    """
    told = {}
    for name, exact in reference.items():
        value = found.get(name)
        if value is None:
            told[name] = "it is missing"
        elif value.shape != exact.shape:
            told[name] = f"shape (={value.shape}) must be {exact.shape}"
        elif value.dtype != np.dtype(dtype):
            told[name] = f"dtype (={value.dtype}) must be {dtype}"
        elif not np.isfinite(value).all():
            told[name] = "it is not finite"
    return told


def maxima(found: Arrays, reference: Arrays, wrong: Mapping[str, str]) -> dict[str, float]:
    """Return the relative maximum of each name, in the reference's order.

    Args:
        found: what is judged.
        reference: what it should be.
        wrong: see `faults`; those are infinitely far.
    """
    return {
        name: float("inf") if name in wrong else relative_maximum(found[name], exact)
        for name, exact in reference.items()
    }


def norm(arrays: Iterable[np.ndarray]) -> float:
    """Return the L2 norm of several arrays taken together, in float64."""
    return float(np.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)))


def joint_relative_l2(found: Arrays, reference: Arrays) -> float:
    """Return the relative L2 distance of all arrays taken together.

    NaN, another shape and a name that is missing are infinitely far.
    """
    if any(
        name not in found or found[name].shape != exact.shape for name, exact in reference.items()
    ):
        return float("inf")
    distance = norm(found[name] - exact for name, exact in reference.items())
    return distance / (norm(reference.values()) or 1.0) if np.isfinite(distance) else float("inf")


def each_relative_l2(found: Arrays, reference: Arrays) -> dict[str, float]:
    """Return the relative L2 distance of each array.

    Where the exact value is zero but for rounding (the shift of a batch norm whose output meets
    another batch norm without an activation between them), the unit is the whole instead of the
    array.
    """
    whole = norm(reference.values()) or 1.0
    errors = {}
    for name, exact in reference.items():
        own = norm([exact])
        same = name in found and found[name].shape == exact.shape
        distance = norm([found[name] - exact]) if same else np.inf
        error = distance / (own if own > 1e-9 * whole else whole)
        errors[name] = float(error if np.isfinite(error) else np.inf)
    return errors


def first_beyond(errors: Mapping[str, float], admitted: Mapping[str, float] | float) -> str | None:
    """Return the first name, in order, whose error is not admitted (NaN never is)."""
    for name, error in errors.items():
        limit = admitted if isinstance(admitted, float) else admitted[name]
        if not error <= limit:
            return name
    return None
