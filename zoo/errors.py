"""The errors a user can meet, each also the built-in error that code would expect in its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base of every error raised by this package."""


class UnknownNameError(ZooError, LookupError):
    """A model, backend, preset, field or node that does not exist; the nearest are named."""


class SpecError(ZooError, ValueError):
    """A value that an architecture spec does not admit."""


class GraphError(ZooError, ValueError):
    """A node that breaks a rule of its operator: divisibility, shapes, names."""


class InputError(ZooError, ValueError):
    """An input array of the wrong rank, channels or size."""


class WeightsError(ZooError, ValueError):
    """Weights that do not fit the network: missing, unexpected or mis-shaped names."""


class ConventionError(ZooError, ValueError):
    """Two conventions that are not the same function, whatever the order of the channels."""


class AdoptionError(ZooError, ValueError):
    """A network from elsewhere that has something which no operator of ours is.

    Attributes:
        problems: all that stands in the way, where several things do.
    """

    problems: tuple[str, ...] = ()


class ExportError(ZooError, ValueError):
    """A model file that cannot be written as asked: opset, batch, path."""


class OutputError(ZooError, OSError):
    """A file that cannot be written: it exists, its folder does not, the disk is full."""


class TrainingError(ZooError, RuntimeError):
    """A run that cannot go on: no finite loss, a folder or checkpoint that does not fit."""


class NotInstalledError(ZooError, ImportError):
    """An optional package is missing; the message tells what to install."""


class BackendNotInstalledError(NotInstalledError):
    """The framework behind a backend cannot be imported; the message tells what to install."""


class ShadowedError(ZooError, ImportError):
    """A module of the user's has the name of one of our packages, and is found before it."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that is not among ``known``, with the nearest ones."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    else:
        hint = "known: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")
