"""Cells that stand in for a network's own while it is trained.

Its parameters keep their names.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.ops import constexpr

from backends.mindspore.layers import ChannelDropout, ChannelShuffle, Gather, StochasticDepth
from backends.mindspore.tree import get, put
from zoo.arch import Graph


class Permute(nn.Cell):
    """A gather of all channels, each once, whose gradient is the gather of the inverse.

    MindSpore's own gradient adds up what several channels may have read, between two
    transpositions: the same bits in several times as long.
    """

    def __init__(self, indices: Tensor) -> None:
        super().__init__()
        self.indices = indices
        self.inverse = Tensor(np.argsort(indices.asnumpy()), ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, 1)

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> Any:
        return (ops.gather(dout, self.inverse, 1),)


class Dropout(nn.Cell):
    """Dropout whose draws are a function of a key that is set before each step.

    MindSpore's own has a stream that cannot be put to where it was. Here a value's number and the
    key are mixed by a hash with full avalanche (Wellons' "lowbias32"), so that a run which is taken
    up again draws what it would have drawn.

    Args:
        p: probability that a value becomes zero.
        key: uint32 (2,); see `set_key`.
        number: of the node, so that no two of them draw the same.
    """

    def __init__(self, p: float, key: Parameter, number: int) -> None:
        super().__init__(auto_prefix=False)
        self.p, self.key, self.number = p, key, Tensor(number, ms.uint32)
        self.factors = Tensor(0x7FEB352D, ms.uint32), Tensor(0x846CA68B, ms.uint32)
        self.shifts = tuple(Tensor(bits, ms.uint32) for bits in (16, 15, 8))
        self.xor, self.shift = ops.BitwiseXor(), ops.RightShift()

    def construct(self, x: Tensor) -> Tensor:
        bits = self.mix(self.xor(_count(x.size), self.key[0]))
        bits = self.mix(self.xor(bits, self.xor(self.key[1], self.number)))
        # The upper 24 bits: as many as float32 tells apart.
        drawn = self.shift(bits, self.shifts[2]).astype(ms.float32) * 2.0**-24
        kept = (drawn >= self.p).astype(x.dtype).reshape(x.shape) / (1 - self.p)
        return x * ops.stop_gradient(kept)

    def mix(self, bits: Tensor) -> Tensor:
        bits = self.xor(bits, self.shift(bits, self.shifts[0])) * self.factors[0]
        bits = self.xor(bits, self.shift(bits, self.shifts[1])) * self.factors[1]
        return self.xor(bits, self.shift(bits, self.shifts[0]))


@constexpr
def _count(size: int) -> Tensor:
    return Tensor(np.arange(size, dtype=np.uint32))


def make_key() -> Parameter:
    """Return the key that all Dropouts of a network share."""
    return Parameter(Tensor(np.zeros(2, np.uint32)), "dropout_key", requires_grad=False)


def set_key(key: Parameter, *numbers: int) -> None:
    """Set the key to a hash of numbers: seed, step and whatever else the draws depend on."""
    key.set_data(Tensor(np.random.SeedSequence(numbers).generate_state(2, np.uint32)))


def prepare(network: nn.Cell, graph: Graph, precision: str) -> Parameter | None:
    """Make a network ready for training; return the key of its Dropouts, or None without any."""
    key: Parameter | None = None
    for number, node in enumerate(graph.nodes):
        cell = get(network, node.name)
        if isinstance(cell, ChannelShuffle | Gather):
            put(network, node.name, Permute(cell.indices))
        elif isinstance(cell, nn.Dropout | ChannelDropout | StochasticDepth):
            key = make_key() if key is None else key
            drawn = cell if isinstance(cell, nn.Dropout) else cell.drop
            path = node.name if drawn is cell else f"{node.name}.drop"
            put(network, path, Dropout(drawn.p, key, number))
        elif precision != "float32" and isinstance(cell, nn.Conv2d | nn.Dense):
            # Parameters stay float32: the Cell makes the copy that it computes with.
            cell.to_float(getattr(ms, precision))
    return key
