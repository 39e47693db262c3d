"""The measurements of a parity proof, made by MindSpore: arrays in, arrays out.

All of them run in graph mode, which is what is deployed; PyNative gives the same bits
(tests/test_models.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from backends.mindspore.model import Network, build
from backends.mindspore.parameters import parameters, set_parameters
from zoo.arch import Graph

DTYPES = ("float32",)
LEVELS = ("structure", "forward", "batch_statistics", "gradients", "training")

Arrays = dict[str, np.ndarray]


@contextmanager
def graph_mode() -> Iterator[None]:
    """Run the body in graph mode and restore the mode that was set."""
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=before)


class Loss(nn.Cell):
    """A network and its mean cross-entropy."""

    def __init__(self, network: Network) -> None:
        # Without a prefix the parameters keep the names they have in the network.
        super().__init__(auto_prefix=False)
        self.network = network
        self.loss = nn.CrossEntropyLoss()

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.network(x), y)


def _load(graph: Graph, weights: Arrays, training: bool) -> Network:
    network = build(graph)
    set_parameters(network, weights)
    network.set_train(training)
    return network


def _arrays(network: Network, graph: Graph, trainable: bool) -> Arrays:
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
        network = _load(graph.select(names), weights, training)
        outputs = network(Tensor(x.astype(dtype)))
        values = {name: o.asnumpy().copy() for name, o in zip(names, outputs, strict=True)}
        return values, _arrays(network, graph, trainable=False)


def gradients(
    graph: Graph, weights: Arrays, x: np.ndarray, y: np.ndarray, *, training: bool, dtype: str
) -> tuple[float, Arrays]:
    """Return (mean cross-entropy, its gradient for every trained parameter)."""
    with graph_mode():
        network = _load(graph, weights, training)
        trained = {n: p for n, p in parameters(network).items() if graph.parameters[n].trainable}
        step = ms.value_and_grad(Loss(network), None, weights=list(trained.values()))
        loss, found = step(Tensor(x.astype(dtype)), Tensor(y.astype(np.int32)))
        arrays = {name: g.asnumpy().copy() for name, g in zip(trained, found, strict=True)}
        return float(loss.asnumpy()), arrays


def predict(network: Network, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the network's outputs for a float32 array."""
    with graph_mode():
        outputs = network(Tensor(x))
    return tuple(
        o.asnumpy().copy() for o in (outputs if isinstance(outputs, tuple) else (outputs,))
    )
