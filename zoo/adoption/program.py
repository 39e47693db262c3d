"""A network as one of the ways in found it: calls of functions of PyTorch, in order.

Every way in (a backend's ``adopt.py``) writes such a program, in the vocabulary of
`zoo.adoption.rules`; what their frameworks call otherwise they translate. A program knows nothing
of a framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.arch import Shape
from zoo.errors import AdoptionError, InputError

UNREAD = "unread"
"""The kind of a call that could not be read, so that those around it can be looked at."""
UNSTATED = (2, 3, 224, 224)
"""The shape of images of which nobody says how large they are."""
MAX_IMAGES = 1 << 28
"""Values of a batch that a network is read with."""
MOST = 20
"""Of the things that are wrong, an error lists so many."""


class UnknownError(ValueError):
    """What a call of a framework does is not known here."""


@dataclass(slots=True)
class Call:
    """A function applied to values.

    Attributes:
        name: of its result, unique.
        kind: the function, as PyTorch calls it: ``"conv2d"``, ``"reshape"``.
        inputs: the values that it reads.
        shape: of its result, for one image.
        scope: dotted path of the module that it is called in; "" for the network itself.
        options: its other arguments, by PyTorch's names.
        held: role → full name of the array, of what it computes with: ``{"weight":
            "layer1.0.conv1.weight"}``.
        where: the line of the user's code that it comes from, where that is known.
        images: the axis of the result that the images are on; -1 if it does not depend on them.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    scope: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    images: int = 0

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        at = self.scope or "the network itself"
        return f"{at} ({self.where})" if self.where else at


@dataclass(slots=True)
class Program:
    """A whole network.

    Attributes:
        input: name of the value that holds the images.
        input_shape: its shape, for one image.
        calls: in an order in which they can be made.
        outputs: names of the values that it returns.
        as_tuple: whether it returns a tuple.
        arrays: full name → array, float32, of everything that the network holds.
        constants: those of them that it computes, and has no name for.
        modules: the paths of its modules that hold no others.
        notes: what is to be known of how it was read.
        output_names: what the values that it returns are called there; "" for one alone.
        problems: what could not be read; an ``UNREAD`` call stands for each.
    """

    input: str
    input_shape: Shape
    calls: list[Call]
    outputs: tuple[str, ...]
    as_tuple: bool
    arrays: Mapping[str, np.ndarray]
    modules: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    constants: frozenset[str] = frozenset()
    output_names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def shapes(self) -> dict[str, Shape]:
        """Return the shape of every value."""
        return {self.input: self.input_shape} | {call.name: call.shape for call in self.calls}

    def readers(self) -> dict[str, list[Call]]:
        """Return for every value the calls that read it."""
        found: dict[str, list[Call]] = {name: [] for name in self.shapes()}
        for call in self.calls:
            for name in call.inputs:
                found[name].append(call)
        return found


def require_images(shape: Sequence[int]) -> None:
    """Raise `InputError` unless a shape can be one of images."""
    if len(shape) != 4 or min(shape) < 1 or math.prod(shape) > MAX_IMAGES:
        raise InputError(f"example (={tuple(shape)}) must be a shape (N, C, H, W)")


def drawn(shape: Sequence[int] = UNSTATED) -> np.ndarray:
    """Return random images, float32, of a shape: two at least, since a batch of one is frozen.

    Raises:
        InputError: it can be none of images.
    """
    require_images(shape)
    found = np.random.default_rng(0).standard_normal((max(shape[0], 2), *shape[1:]))
    return found.astype(np.float32)


def refuse(problems: Iterable[str]) -> None:
    """Raise `AdoptionError` with everything that stands in the way, if anything does."""
    unique = list(dict.fromkeys(problems))
    if unique:
        more = f"\n  … and {len(unique) - MOST} more" if len(unique) > MOST else ""
        listed = "".join(f"\n  {problem}" for problem in unique[:MOST])
        error = AdoptionError(f"the network cannot be adopted:{listed}{more}")
        error.problems = tuple(unique)
        raise error
