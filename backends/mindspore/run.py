"""The measurements of a parity proof, made by MindSpore: arrays in, arrays out.

All of them run in graph mode, which is what is deployed; PyNative gives the same bits
(tests/test_models.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindspore.model import LOCK, build
from backends.mindspore.parameters import fill, parameters
from zoo.arch import Graph

DTYPES: tuple[str, ...] = ("float32",)
LEVELS: tuple[str, ...] = ("structure", "forward", "batch_statistics", "gradients", "training")
FUSED = False

Arrays = dict[str, np.ndarray]
T = TypeVar("T")

_interpreted: ContextVar[bool] = ContextVar("_interpreted", default=False)


@contextmanager
def graph_mode() -> Iterator[None]:
    """Run the body in graph mode and restore the mode that was set."""
    before = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE if _interpreted.get() else ms.GRAPH_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=before)


_kept: dict[Any, Any] | None = None


@contextmanager
def keep_compiled() -> Iterator[None]:
    """Keep the networks that are compiled in the body for calls with other weights and images.

    For the same proof from many seeds, most of whose time compiling would be. They are let go of at
    the end.
    """
    global _kept  # noqa: PLW0603 - the functions below are the interface of a backend
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def kept(key: Any, make: Callable[[], T]) -> T:
    """Return what ``make`` returns, or inside `keep_compiled` what it has returned for the key."""
    if _kept is None:
        return make()
    if key not in _kept:
        _kept[key] = make()
    found: T = _kept[key]
    return found


@contextmanager
def pynative() -> Iterator[None]:
    """Let what asks for graph mode inside the body run in PyNative mode: nothing is compiled.

    The same bits, a network's first run in a tenth of the time, every further one in a multiple.
    """
    token = _interpreted.set(True)
    try:
        yield
    finally:
        _interpreted.reset(token)


class Loss(nn.Cell):
    """A network and its mean cross-entropy."""

    def __init__(self, network: nn.Cell) -> None:
        # Without a prefix the parameters keep the names they have in the network.
        super().__init__(auto_prefix=False)
        self.network = network
        self.loss = nn.CrossEntropyLoss()

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.network(x), y)


class Gradients(nn.Cell):
    """The loss and its gradient for some parameters.

    Compiled as a Cell: called by itself, `value_and_grad` takes what does not train for constant,
    and goes on with the old running statistics after they were set.
    """

    def __init__(self, network: nn.Cell, parameters: list[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.find = ms.value_and_grad(Loss(network), None, weights=ms.ParameterTuple(parameters))

    def construct(self, x: Tensor, y: Tensor) -> Any:
        return self.find(x, y)


def _build(graph: Graph, training: bool) -> nn.Cell:
    network = build(graph)
    network.set_train(training)
    return network


def _arrays(network: nn.Cell, graph: Graph, trainable: bool) -> Arrays:
    return {
        name: p.asnumpy().copy()
        for name, p in parameters(network).items()
        if graph.parameters[name].trainable == trainable
    }


def forward(
    graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
) -> tuple[Arrays, Arrays]:
    """Return (the value of every node, the running statistics after the call)."""
    names = [node.name for node in graph.nodes]
    with graph_mode():
        whole = graph.select(names)
        network = kept((whole, training), lambda: _build(whole, training))
        fill(network, weights)
        outputs = network(Tensor(x.astype(dtype)))
        values = {name: o.asnumpy().copy() for name, o in zip(names, outputs, strict=True)}
        return values, _arrays(network, graph, trainable=False)


def _step(graph: Graph, training: bool) -> tuple[nn.Cell, Gradients]:
    network = _build(graph, training)
    found = parameters(network)
    trained = [found[name] for name, p in graph.parameters.items() if p.trainable]
    return network, Gradients(network, trained)


def gradients(
    graph: Graph, weights: Arrays, x: np.ndarray, y: np.ndarray, *, training: bool, dtype: str
) -> tuple[float, Arrays]:
    """Return (mean cross-entropy, its gradient for every trained parameter)."""
    with graph_mode():
        network, step = kept(("gradients", graph, training), lambda: _step(graph, training))
        fill(network, weights)
        trained = [n for n, parameter in graph.parameters.items() if parameter.trainable]
        loss, found = step(Tensor(x.astype(dtype)), Tensor(y.astype(np.int32)))
        arrays = {name: g.asnumpy().copy() for name, g in zip(trained, found, strict=True)}
        return float(loss.asnumpy()), arrays


def predict(network: nn.Cell, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the network's outputs in evaluation mode for a float32 array."""
    with LOCK, graph_mode():  # the mode is that of all threads
        if any(cell.training for _, cell in network.cells_and_names()):
            network.set_train(False)
        outputs = network(Tensor(x))
        found = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(o.asnumpy().copy() for o in found)
