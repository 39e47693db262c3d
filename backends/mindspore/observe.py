"""The values inside of a live MindSpore model, as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Tensor, nn

from backends.mindspore.live import LIVE, evaluating, unwrap
from backends.mindspore.operators import IDIOMS
from backends.mindspore.run import graph_mode, pynative
from zoo.blocks.live import Seen


def observe(cell: nn.Cell, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values that a live model lets one see in evaluation mode, by node.

    What Cells take and return is seen by hooks, which only PyNative mode has; the output is that of
    the model itself in graph mode.
    """
    network = LIVE.network_in(cell)
    outer = cell if unwrap(cell) is network else network
    seen, last = Seen(_array), Seen(_array)
    with evaluating(cell):
        with graph_mode():
            last.keep(network.zoo_graph.outputs, outer(Tensor(x)))
        with seen.watching(LIVE, network, IDIOMS), pynative(), graph_mode():
            network(Tensor(x))
    return seen | last


def _array(value: Any) -> np.ndarray:
    found: np.ndarray = value.asnumpy()
    return found
