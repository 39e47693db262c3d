"""A live network beside the one that its graph makes: which layers are no longer the same?

Users wrap networks and replace what is in them. A backend tells how its modules hold one another
and when two layers are one function; the walk and the words are here.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.arch import Graph
from zoo.blocks.idioms import Idioms
from zoo.blocks.tree import places
from zoo.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np

SHOWN = 3
"""Layers that an error tells of."""


@dataclass(frozen=True, slots=True)
class Made:
    """A layer as it was made.

    Attributes:
        kind: its class.
        told: its arguments, in the framework's words.
    """

    kind: type
    told: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}({self.told})"


class Live(ABC):
    """How a framework's modules hold one another, and what follows for the networks in them."""

    @abstractmethod
    def networks(self, module: Any) -> Iterator[tuple[str, Any]]:
        """Yield (path, module) of what is in a module that has a graph."""

    @abstractmethod
    def child(self, module: Any, name: str) -> Any:
        """Return what a module holds under a name, without what wraps it, or None."""

    @abstractmethod
    def made(self, graph: Graph) -> Mapping[str, Made]:
        """Return path → layer of a network as it is made of a graph, outer ones first."""

    @abstractmethod
    def tell(self, layer: Any) -> Made:
        """Return a description of a live layer."""

    @abstractmethod
    def computes_as(self, found: type, expected: type) -> bool:
        """Return whether a layer of the first class computes as one of the second does."""

    @abstractmethod
    def shape(self, layer: Any, role: str, node: Any) -> tuple[int, ...] | None:
        """Return the shape of a layer's parameter; None where only reading it could tell."""

    def network_in(self, module: Any) -> Any:
        """Return the zoo's network in a module, however deep.

        Raises:
            WeightsError: there is none, or there are several.
        """
        found = dict(self.networks(module))
        kind = type(module).__name__
        if not found:
            raise WeightsError(f"{kind} was not made by zoo.create")
        if len(found) > 1:
            raise WeightsError(
                f"{kind} holds {len(found)} networks of zoo.create ({', '.join(found)}): pass one "
                "of them"
            )
        return next(iter(found.values()))

    def layer(self, network: Any, path: str) -> Any:
        """Return a layer of a network that `check` has found whole."""
        return functools.reduce(self.child, path.split("."), network)

    def check(self, module: Any) -> Any:
        """Return the network in a module, whose layers hold the parameters of its graph.

        Raises:
            WeightsError: there is none, or a layer is missing, of another kind, or of other shapes.
        """
        network = self.network_in(module)
        refuse(self._differences(network, self._same_function).values())
        wrong = {}
        for node in network.zoo_graph.nodes:
            for role, parameter in node.op.parameters().items():
                shape = self.shape(self.layer(network, node.name), role, node)
                if shape is not None and shape != parameter.shape:
                    wrong[node.name] = (
                        f"{node.name}.{role}: shape {shape} must be {parameter.shape}"
                    )
        if wrong:
            told = self._differences(network, self._same)
            refuse(told.get(path, text) for path, text in wrong.items())
        return network

    def changes(self, module: Any) -> list[str]:
        """Return what is said of each layer that is not, to the last argument, what it was.

        Raises:
            WeightsError: there is no network in the module.
        """
        return list(self._differences(self.network_in(module), self._same).values())

    def _same_function(self, found: Made, expected: Made) -> bool:
        return self.computes_as(found.kind, expected.kind)

    def _same(self, found: Made, expected: Made) -> bool:
        return found.told == expected.told and self._same_function(found, expected)

    def _differences(self, network: Any, alike: Callable[[Made, Made], bool]) -> dict[str, str]:
        """Return path → what is wrong with it; nothing of what is inside of another layer."""
        held: dict[str, Any] = {"": network}
        wrong: dict[str, str] = {}
        for path, expected in self.made(network.zoo_graph).items():
            outer, _, name = path.rpartition(".")
            if outer not in held:
                continue
            layer = self.child(held[outer], name)
            if layer is None:
                wrong[path] = f"{path}: {expected} is missing"
            elif not alike(found := self.tell(layer), expected):
                wrong[path] = f"{path}: {found} is in the place of {expected}"
            else:
                held[path] = layer
        return wrong


class Seen(dict[str, Any]):
    """The values that a network's modules take and return, by the names of the nodes.

    The first that comes under a name is kept: what reads a value may write over it, and a hook of
    the user's may hand on another.
    """

    def __init__(self, array: Callable[[Any], np.ndarray]) -> None:
        super().__init__()
        self._array = array

    def keep(self, names: Sequence[str], values: Any) -> None:
        """Add copies of values under their names."""
        for name, value in zip(
            names, values if isinstance(values, tuple) else (values,), strict=False
        ):
            if name not in self:
                self[name] = self._array(value).copy()

    @contextmanager
    def watching(self, live: Live, network: Any, idioms: Idioms) -> Iterator[None]:
        """Look on by hooks while the body runs; they come after those that are there."""
        handles = []
        try:
            for path, (taken, returned) in places(network.zoo_graph, idioms).items():
                layer = live.layer(network, path)
                handles += [
                    layer.register_forward_pre_hook(functools.partial(self._before, taken)),
                    layer.register_forward_hook(functools.partial(self._after, returned)),
                ]
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, names: Sequence[str], _: Any, inputs: Any) -> None:
        self.keep(names, inputs)

    def _after(self, names: Sequence[str], _: Any, inputs: Any, outputs: Any) -> None:
        self.keep(names, outputs)


def refuse(wrong: Iterable[str]) -> None:
    """Raise `WeightsError` if anything is wrong with a live network."""
    told = list(wrong)
    if told:
        more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        raise WeightsError(
            f"the model is no longer the network that zoo.create made: {'; '.join(told[:SHOWN])}"
            f"{more}"
        )
