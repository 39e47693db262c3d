"""A training step as one compiled graph: forward, backward, clipping and the optimizer.

Or, where a batch is taken in parts, as two: one adds up the gradients of a part, and one changes
the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from backends.mindspore.optimizers import Update
from backends.mindspore.processes import Mean


class Loss(nn.Cell):
    """A network and its mean cross-entropy with the probabilities of the classes.

    A call returns (what is differentiated, the loss, the logits).
    """

    def __init__(self, network: nn.Cell, scale: float) -> None:
        # Without a prefix the parameters keep the names they have in the network.
        super().__init__(auto_prefix=False)
        self.network, self.scale = network, scale

    def construct(self, x: Tensor, targets: Tensor) -> Any:
        logits = self.network(x).astype(ms.float32)
        loss = -ops.sum(targets * ops.log_softmax(logits, 1)) / x.shape[0]
        return loss * self.scale, loss, logits


class Gradients(nn.Cell):
    """Returns (the loss, the logits, the gradients, divided by what the loss was scaled by)."""

    def __init__(self, network: nn.Cell, parameters: Sequence[Parameter], scale: float) -> None:
        super().__init__(auto_prefix=False)
        self.loss, self.scale = Loss(network, scale), scale
        self.find = ms.value_and_grad(
            self.loss, None, weights=ms.ParameterTuple(parameters), has_aux=True
        )
        self.map = ops.HyperMap()

    def construct(self, x: Tensor, targets: Tensor) -> Any:
        (_, loss, logits), gradients = self.find(x, targets)
        if self.scale != 1:
            gradients = self.map(self.one, gradients)
        return loss, logits, gradients

    def one(self, gradient: Tensor) -> Tensor:
        return gradient / self.scale


class Step(nn.Cell):
    """A step on a whole batch; returns (the loss, the logits)."""

    def __init__(self, gradients: Gradients, mean: Mean, update: Update) -> None:
        super().__init__(auto_prefix=False)
        self.gradients, self.mean, self.update = gradients, mean, update

    def construct(self, x: Tensor, targets: Tensor, *scalars: Tensor) -> Any:
        loss, logits, gradients = self.gradients(x, targets)
        done = self.update(self.mean(gradients), *scalars)
        return ops.depend(loss, done), logits


class Part(nn.Cell):
    """Adds the gradients of a part of a batch to the sums; returns (the loss, the logits).

    A call takes besides images and targets the part's share of the batch, and whether it is the
    first, with which the sums start anew.
    """

    def __init__(self, gradients: Gradients, sums: Sequence[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.gradients, self.sums = gradients, ms.ParameterTuple(sums)
        self.map = ops.HyperMap()

    def construct(self, x: Tensor, targets: Tensor, share: Tensor, first: Tensor) -> Any:
        loss, logits, gradients = self.gradients(x, targets)
        done = self.map(ops.partial(self.one, share, first), self.sums, gradients)
        return ops.depend(loss, done), logits

    def one(self, share: Tensor, first: Tensor, before: Any, gradient: Any) -> Any:
        added = gradient * share
        # Chosen, not multiplied by zero, which would keep what is not finite.
        return ops.assign(before, ops.where(first, added, before + added))


class Finish(nn.Cell):
    """Changes the parameters by the sums of their gradients."""

    def __init__(self, sums: Sequence[Parameter], mean: Mean, update: Update) -> None:
        super().__init__(auto_prefix=False)
        self.sums, self.mean, self.update = ms.ParameterTuple(sums), mean, update

    def construct(self, *scalars: Tensor) -> Any:
        return self.update(self.mean(self.sums), *scalars)


def make_sums(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Return a Parameter for the sum of each parameter's gradients."""
    return [
        Parameter(Tensor(np.zeros(p.shape, np.float32)), f"sum.{p.name}", requires_grad=False)
        for p in parameters
    ]
