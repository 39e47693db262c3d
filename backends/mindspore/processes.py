"""Several processes that train together, as `msrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mindspore import Tensor, communication, nn, ops


def join() -> tuple[int, int]:
    """Return (the number of this process, how many there are), joined to the others.

    Without `msrun`, which tells by the environment, this is process 0 of 1.
    """
    if not {"MS_ROLE", "MS_WORKER_NUM"} <= os.environ.keys():
        return 0, 1
    if not communication.GlobalComm.INITED:
        communication.init()
    return communication.get_rank(), communication.get_group_size()


class Mean(nn.Cell):
    """The mean of gradients over all processes, each of which passes its own."""

    def __init__(self, world: int) -> None:
        super().__init__()
        self.share = 1 / world
        # Without `init` there is no such operator.
        self.reduce: Any = ops.AllReduce(ops.ReduceOp.SUM) if world > 1 else None
        self.map = ops.HyperMap()

    def construct(self, gradients: Sequence[Any]) -> Any:
        return gradients if self.reduce is None else self.map(self.one, gradients)

    def one(self, gradient: Tensor) -> Tensor:
        return self.reduce(gradient) * self.share


class Collect(nn.Cell):
    """The values of all processes, one after the other along the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = ops.AllGather()

    def construct(self, values: Tensor) -> Tensor:
        return self.gather(values)


def total(values: np.ndarray, world: int) -> np.ndarray:
    """Return the sum of an array over all processes, float64, the same bits in each of them."""
    values = np.ascontiguousarray(values, np.float64)
    if world == 1:
        return values.copy()
    # There is no sum of float64: the halves of the numbers travel as they are, and each process
    # adds for itself.
    halves = Collect()(Tensor(values.reshape(-1).view(np.int32)))
    return halves.asnumpy().view(np.float64).reshape(world, *values.shape).sum(0)
