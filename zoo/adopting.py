"""Adopt: any vision network, from the framework that it lives in, as one of ours."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import backends
from weights import Checkpoint, Named, describe, formats, load_weights, reordered
from zoo.adoption.canonical import canonical
from zoo.adoption.program import drawn
from zoo.adoption.recognize import Recognized
from zoo.adoption.recognize import recognize as recognized
from zoo.arch import Graph, Shape, Spec, cost
from zoo.errors import AdoptionError, InputError
from zoo.families import base_model
from zoo.families.graph import GraphSpec
from zoo.loading import is_file


@dataclass(frozen=True, eq=False, repr=False)
class Adopted(Checkpoint):
    """A network from elsewhere: its spec and its weights, and what it came from.

    Whatever takes a name or a spec takes it, with its weights: `zoo.create`, `zoo.parity`,
    `zoo.export`, `zoo.write_source`.

    Attributes:
        original: the user's own module; None of a file, and where it computes weights of others.
        theirs: our name of an array → the name it has there.
        shapes: our name of an array → the shape it has there.
        output_names: what the values that it returns are called there (``"aux.0"`` where they are
            in dictionaries or tuples of tuples; here they are one tuple); ``""`` for one alone.
        recognized: which network of a family it is, and how; None if it is of none.
        read: the graph that was read, as a spec.
    """

    original: Any = None
    theirs: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    output_names: tuple[str, ...] = ()
    recognized: Recognized | None = None
    read: GraphSpec | None = None

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self.spec.graph

    @property
    def model(self) -> str:
        """What it is called."""
        return base_model(self.spec) or self.spec.label

    @cached_property
    def names(self) -> Named:
        """The names that its code base has for its arrays, by which further files are read."""
        order = self.recognized.values if self.recognized else {}
        return Named.network(self.path.stem, self.spec, self.theirs, order, self.shapes)

    @cached_property
    def as_read(self) -> Adopted:
        """The same as the graph that was read: of no family, under the names of its code base."""
        known = self.recognized
        if known is None or self.read is None:
            return self
        nodes = known.arrays({name: name for name in known.graph.parameters})
        shapes = {ours: self.read.graph.parameters[name].shape for ours, name in nodes.items()}
        back = Named.network(self.path.stem, self.spec, nodes, known.values, shapes)
        return dataclasses.replace(
            self,
            spec=self.read,
            weights=back.write(self.graph, self.weights),
            theirs={nodes[ours]: name for ours, name in self.theirs.items()},
            shapes={nodes[ours]: shape for ours, shape in self.shapes.items()},
            recognized=None,
        )

    def summary(self) -> str:
        """Return what was found, in a few lines."""
        counted = cost(self.graph, self.graph.input_shape)
        size = "×".join(map(str, self.graph.input_shape[1:]))
        return "\n".join(
            [
                f"{self.path}: {self.format}, {len(self.graph.nodes)} nodes, {len(self)} arrays",
                *([f"recognized: {describe(self.spec)}"] if self.recognized else []),
                f"{counted.params:,} parameters, {counted.macs / 1e6:.2f}M multiply-adds at {size}",
                *(f"note: {note}" for note in self.notes),
            ]
        )

    def __repr__(self) -> str:
        return f"<Adopted {self.summary()}>"


def adopt(
    source: Any,
    *,
    example: Any = None,
    name: str | None = None,
    recognize: bool = True,
) -> Adopted:
    """Return a network of a framework, live or in a file, as one of ours, with its weights.

    The network is read as it computes in evaluation mode; what training does beside (dropout, the
    statistics of batch norms) is what our operators of these names do. It is left as it was found,
    its mode, its hooks and the random state included.

    Args:
        source: a ``torch.nn.Module`` or ``mindspore.nn.Cell`` that makes one tensor of images
            (N, C, H, W), float32 on the CPU; or an ONNX or MINDIR file, which is adopted as it is:
            for inference where it tells no more.
        example: such images, or their shape, square; by default of the size that a file states,
            (2, 3, 224, 224) where nothing does. More than the size matters only to networks that
            ask for more.
        name: what to call it; by default the name of its class.
        recognize: whether a network of one of our families becomes that, with its spec, its
            conventions and our names; otherwise it stays the graph that was read.

    Raises:
        AdoptionError: it computes with something that no operator of ours is (all of it is told,
            each with its place), or cannot be read at all.
        InputError: ``example`` is no batch of images.
        BackendNotInstalledError: the framework's way in needs a package that is missing.

    Example:
        >>> net = zoo.adopt(torchvision.models.resnet18(), example=(2, 3, 64, 64))  # doctest: +SKIP
        >>> cell = zoo.create(net, backend="mindspore")  # doctest: +SKIP
    """
    framework, reader = backends.way_in(source)
    from_file = isinstance(source, str | Path)
    source = reader.inner(source)
    found = canonical(reader.program(source, None if example is None else _images(example)))
    called = name or (Path(source).stem if from_file else type(source).__name__)
    read = GraphSpec.of(found.graph, called)
    spec: Spec = read
    weights, theirs, shapes, notes = found.weights, found.theirs, found.shapes, found.notes
    # What the module computes of others it cannot be given, nor asked for.
    computed = any(not p.value and n not in theirs for n, p in found.graph.parameters.items())
    known = recognized(found.graph) if recognize else None
    if isinstance(known, Recognized):
        spec, notes = known.spec, (*notes, *known.notes)
        theirs, shapes = known.arrays(theirs), known.arrays(shapes)
        weights = {
            name: array.reshape(spec.graph.parameters[name].shape)
            for name, array in reordered(known.arrays(weights), known.values).items()
        }
    elif known:
        notes = (*notes, known)
    return Adopted(
        path=Path(source) if from_file else Path(called),
        format=f"{framework} {'file' if from_file else 'module'}",
        entry="",
        dialect="zoo",
        spec=spec,
        weights=weights,
        notes=notes,
        original=None if from_file or computed else source,
        theirs=theirs,
        shapes=shapes,
        output_names=found.output_names,
        recognized=known if isinstance(known, Recognized) else None,
        read=read,
    )


def named(text: str, options: Mapping[str, Any]) -> Any:
    """Return the network that ``package.module:name`` makes; its code is run.

    Args:
        text: where a function or class is.
        options: what it is called with.

    Raises:
        AdoptionError: there is no such thing, or it does not make what it should.
    """
    module, colon, name = text.partition(":")
    if not colon or not name:
        raise AdoptionError(f"{text!r} must be like torchvision.models:resnet50")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found(**options)
    except Exception as error:  # whatever the user's code raises
        raise AdoptionError(f"{text}: {type(error).__name__}: {error}") from error


def opened(
    text: str, options: Mapping[str, Any], *, example: Any, name: str | None = None
) -> Checkpoint:
    """Return the network that a text names: a file, or what makes one, whose code is run.

    Args:
        text: a file, or ``package.module:name``.
        options: what that is called with.
        example: as for `adopt`.
        name: as for `adopt`; not of a file of ours, which has one.

    Raises:
        AdoptionError: as `adopt` and `named`.
        WeightsError: a file of weights that does not tell its network.
    """
    path = Path(text)
    if path.suffix.lower() in backends.FILES and not _is_ours(path):
        return adopt(path, example=example, name=name)
    if path.exists() or is_file(text):
        return load_weights(path)
    return adopt(named(text, options), example=example, name=name or text.rpartition(":")[2])


def _is_ours(path: Path) -> bool:
    """Return whether a file tells a spec and holds its weights, so that nothing is to be found."""
    if path.suffix.lower() not in formats.FORMATS["onnx"].suffixes:
        return False
    metadata = formats.read(path)[1].metadata
    return "zoo.spec" in metadata and "zoo.optimized" not in metadata


def with_weights(net: Checkpoint, path: str | Path) -> Checkpoint:
    """Return a network with the weights in a file of its code base.

    Raises:
        WeightsError: they are of another network.
    """
    found = load_weights(path, model=net)
    return dataclasses.replace(net, weights=found.weights, notes=(*net.notes, *found.notes))


def _images(example: Any) -> np.ndarray:
    """Return at least two images: a batch of one is frozen into what is recorded."""
    if isinstance(example, tuple | list) and all(isinstance(n, int) for n in example):
        shape = tuple(example)
        return drawn(shape)
    array = np.asarray(example, np.float32) if not hasattr(example, "numpy") else None
    if array is None:
        array = np.asarray(example.detach().cpu().numpy(), np.float32)
    if array.ndim != 4:
        raise InputError(f"example: rank (={array.ndim}) must be 4, (N, C, H, W)")
    return array if len(array) > 1 else np.concatenate([array, array])
