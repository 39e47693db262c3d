"""Ways in: what reads networks that are not ours, live in a framework or from files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from backends.protocols import Trainable
from backends.registry import BACKENDS, load
from zoo.errors import AdoptionError

if TYPE_CHECKING:
    from zoo.adoption.program import Program


class WayIn(Protocol):
    """What reads the live networks of a framework, whoever made them."""

    def program(self, source: Any, images: np.ndarray | None) -> Program:
        """Return what a network computes, which is left as it was found.

        Args:
            source: it.
            images: float32 (N, C, H, W), N of at least 2; None for those that a file states, or
                as `zoo.adoption.program.drawn` makes them.

        Raises:
            AdoptionError: it cannot be read, or has what no operator of ours is.
        """

    def inner(self, source: Any) -> Any:
        """Return the network in what wraps one and computes the same."""

    def original(self, source: Any, theirs: Mapping[str, str]) -> Trainable[Any]:
        """Return what runs a user's own module as if it were a backend.

        Args:
            source: it.
            theirs: our name of an array → its own.
        """


def _from_mindir() -> WayIn:
    import backends.mindir.adopt as module

    return module


def _from_mindspore() -> WayIn:
    import backends.mindspore.adopt as module

    return module


def _from_onnx() -> WayIn:
    load("onnx")
    import backends.onnx.adopt as module

    return module


def _from_torch() -> WayIn:
    import backends.torch.adopt as module

    return module


WAYS_IN: dict[str, Callable[[], WayIn]] = {"mindspore": _from_mindspore, "torch": _from_torch}
"""The backends that read live networks which are not ours."""
FILES: dict[str, tuple[str, Callable[[], WayIn]]] = {
    ".mindir": ("mindir", _from_mindir),
    ".onnx": ("onnx", _from_onnx),
}
"""Suffix → what such files of networks are called, and what reads them."""


def way_in(source: Any) -> tuple[str, WayIn]:
    """Return the framework that a live network is of, and what reads it.

    Raises:
        AdoptionError: it is of none that has a way in.
    """
    if isinstance(source, str | Path) and Path(source).suffix.lower() in FILES:
        name, reader = FILES[Path(source).suffix.lower()]
        return name, reader()
    # A network of a framework that has not been imported cannot exist.
    for name, live in WAYS_IN.items():
        if BACKENDS[name].package in sys.modules and load(name).is_model(source):
            return name, live()
    what = str(source) if isinstance(source, str | Path) else type(source).__name__
    live_in, files = " or ".join(WAYS_IN), ", ".join(FILES)
    raise AdoptionError(f"{what} is no network of {live_in}, and no file of {files}")
