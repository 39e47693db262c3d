"""Adopt: any vision network, from the framework that it lives in, as one of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import backends
from weights import Checkpoint
from zoo.adoption.canonical import canonical
from zoo.arch import Graph, cost
from zoo.errors import InputError
from zoo.families.graph import GraphSpec


@dataclass(frozen=True, eq=False, repr=False)
class Adopted(Checkpoint):
    """A network from elsewhere: its spec and its weights, and what it came from.

    Whatever takes a name or a spec takes it, with its weights: `zoo.create`, `zoo.parity`,
    `zoo.export`, `zoo.write_source`.

    Attributes:
        original: the user's own module.
        theirs: our name of an array → the name it has there.
    """

    original: Any = None
    theirs: Mapping[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self.spec.graph

    @property
    def model(self) -> str:
        """What it is called."""
        return self.spec.label

    def summary(self) -> str:
        """Return what was found, in a few lines."""
        counted = cost(self.graph, self.graph.input_shape)
        size = "×".join(map(str, self.graph.input_shape[1:]))
        return "\n".join(
            [
                f"{self.path}: {self.format}, {len(self.graph.nodes)} nodes, {len(self)} arrays",
                f"{counted.params:,} parameters, {counted.macs / 1e6:.2f}M multiply-adds at {size}",
                *(f"note: {note}" for note in self.notes),
            ]
        )

    def __repr__(self) -> str:
        return f"<Adopted {self.summary()}>"


def adopt(source: Any, *, example: Any = (2, 3, 224, 224), name: str | None = None) -> Adopted:
    """Return a network of a framework, live or in a file, as one of ours, with its weights.

    The network is read as it computes in evaluation mode; what training does beside (dropout, the
    statistics of batch norms) is what our operators of these names do. It is left as it was found,
    its mode, its hooks and the random state included.

    Args:
        source: a ``torch.nn.Module`` that makes one tensor of images (N, C, H, W), float32 on the
            CPU; or an ONNX file, which is adopted as it is: for inference where its batch norms
            were folded.
        example: such images, or their shape, square. More than the size matters only to networks
            that ask for more.
        name: what to call it; by default the name of its class.

    Raises:
        AdoptionError: it computes with something that no operator of ours is (all of it is told,
            each with its place), or cannot be read at all.
        InputError: ``example`` is no batch of images.
        BackendNotInstalledError: the framework's way in needs a package that is missing.

    Example:
        >>> net = zoo.adopt(torchvision.models.resnet18(), example=(2, 3, 64, 64))  # doctest: +SKIP
        >>> cell = zoo.create(net, backend="mindspore")  # doctest: +SKIP
    """
    images = _images(example)
    framework, reader = backends.way_in(source)
    found = canonical(reader.program(source, images))
    is_file = isinstance(source, str | Path)
    called = name or (Path(source).stem if is_file else type(source).__name__)
    spec = GraphSpec.of(found.graph, called)
    return Adopted(
        path=Path(source) if is_file else Path(called),
        format=f"{framework} {'file' if is_file else 'module'}",
        entry="",
        dialect="zoo",
        spec=spec,
        weights=found.weights,
        notes=found.notes,
        original=None if is_file else source,
        theirs=found.theirs,
    )


def _images(example: Any) -> np.ndarray:
    """Return at least two images: a batch of one is frozen into what is recorded."""
    if isinstance(example, tuple | list) and all(isinstance(n, int) for n in example):
        shape = tuple(example)
        if len(shape) == 4 and min(shape) >= 1 and math.prod(shape) <= 1 << 28:
            drawn = np.random.default_rng(0).standard_normal((max(shape[0], 2), *shape[1:]))
            return drawn.astype(np.float32)
        raise InputError(f"example (={shape}) must be a shape (N, C, H, W)")
    array = np.asarray(example, np.float32) if not hasattr(example, "numpy") else None
    if array is None:
        array = np.asarray(example.detach().cpu().numpy(), np.float32)
    if array.ndim != 4:
        raise InputError(f"example: rank (={array.ndim}) must be 4, (N, C, H, W)")
    return array if len(array) > 1 else np.concatenate([array, array])
