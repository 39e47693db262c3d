"""PyTorch's optimizers as Cells of the compiled step: gradients in, parameters changed.

What may differ from step to step enters as Tensors without axes, so that no step compiles again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from zoo import recipes
from zoo.arch import Graph

Gradients = Sequence[Any]


class SGD(nn.Cell):
    """v ← momentum·v + g + weight_decay·p, p ← p - lr·v (nesterov: p - lr·(g + momentum·v)).

    The kernel behind `mindspore.nn.SGD`, one for each parameter. With buffers of zeros its first
    step is PyTorch's, which starts them from the gradient.
    """

    def __init__(
        self, parameters: Sequence[Parameter], optimizer: recipes.SGD, weight_decay: float
    ) -> None:
        super().__init__(auto_prefix=False)
        self.parameters = ms.ParameterTuple(parameters)
        self.momentum_buffer = _zeros("momentum_buffer", parameters)
        # The kernel's own way of starting a buffer from the gradient: zeros switch it off.
        self.stat = _zeros("stat", parameters)
        self.update = ops.SGD(dampening=0.0, weight_decay=weight_decay, nesterov=optimizer.nesterov)
        self.map = ops.HyperMap()

    def construct(self, gradients: Gradients, lr: Tensor, momentum: Tensor) -> Any:
        one = ops.partial(self.one, lr, momentum)
        return self.map(one, self.parameters, gradients, self.momentum_buffer, self.stat)

    def one(self, lr: Tensor, momentum: Tensor, p: Any, g: Any, buffer: Any, stat: Any) -> Any:
        return self.update(p, g, lr, buffer, momentum, stat)


class Adam(nn.Cell):
    """m ← m + (1 - beta1)·(g - m), v ← beta2·v + (1 - beta2)·g², p ← p - size·m / (√v/root + eps).

    ``size`` and ``root`` hold the corrections of the bias. Written out, because none of MindSpore's
    own will do: `mindspore.nn.Adam` adds eps before the correction, the experimental AdamW takes
    the first beta once and for all, and the kernel of `mindspore.ops.Adam` rounds beta2 before it
    takes 1 - beta2, which is then off by 1e-5 of itself.
    """

    def __init__(
        self, parameters: Sequence[Parameter], optimizer: recipes.Adam, weight_decay: float
    ) -> None:
        super().__init__(auto_prefix=False)
        self.parameters = ms.ParameterTuple(parameters)
        self.exp_avg = _zeros("exp_avg", parameters)
        self.exp_avg_sq = _zeros("exp_avg_sq", parameters)
        self.coupled = 0.0 if optimizer.decoupled else weight_decay
        self.decoupled = weight_decay if optimizer.decoupled else 0.0
        self.beta2, self.rest2 = optimizer.betas[1], 1 - optimizer.betas[1]
        self.eps = optimizer.eps
        self.map = ops.HyperMap()

    def construct(
        self, gradients: Gradients, lr: Tensor, rest1: Tensor, size: Tensor, root: Tensor
    ) -> Any:
        one = ops.partial(self.one, lr, rest1, size, root)
        return self.map(one, self.parameters, gradients, self.exp_avg, self.exp_avg_sq)

    def one(
        self, lr: Tensor, rest1: Tensor, size: Tensor, root: Tensor, p: Any, g: Any, m: Any, v: Any
    ) -> Any:
        kept = p
        if self.coupled:
            g = g + self.coupled * p
        if self.decoupled:
            kept = p - lr * self.decoupled * p
        mean = m + rest1 * (g - m)
        square = self.beta2 * v + self.rest2 * g * g
        ops.assign(m, mean)
        ops.assign(v, square)
        return ops.assign(p, kept - size * mean / (ops.sqrt(square) / root + self.eps))


class Clip(nn.Cell):
    """Each gradient cut to ±value, or all of them scaled so that their norm is at most this."""

    def __init__(self, value: float | None, norm: float | None) -> None:
        super().__init__()
        self.value: Any = value
        self.norm: Any = norm
        self.map = ops.HyperMap()

    def construct(self, gradients: Gradients) -> Any:
        if self.value is not None:
            return self.map(self.cut, gradients)
        if self.norm is not None:
            total = ops.sqrt(ops.addn(self.map(self.square, gradients)))
            # torch.nn.utils.clip_grad_norm_, its 1e-6 included.
            share = ops.minimum(self.norm / (total + 1e-6), 1.0)
            return self.map(ops.partial(self.scale, share), gradients)
        return gradients

    def cut(self, g: Tensor) -> Tensor:
        return ops.minimum(ops.maximum(g, -self.value), self.value)

    def square(self, g: Tensor) -> Tensor:
        return ops.sum(g * g)

    def scale(self, share: Tensor, g: Tensor) -> Tensor:
        return g * share


class Update(nn.Cell):
    """Clipping and the optimizer: a Cell for parameters with weight decay, one for the others.

    Attributes:
        names: canonical names of the parameters, in the order of the gradients that a call takes.
    """

    def __init__(
        self, graph: Graph, parameters: dict[str, Parameter], recipe: recipes.Recipe
    ) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer, self.slot_names = recipe.optimizer, recipes.slot_names(recipe)
        self.clip = Clip(recipe.clip_value, recipe.clip_norm)
        kind: Any = SGD if isinstance(self.optimizer, recipes.SGD) else Adam
        decay = self.optimizer.weight_decay
        first = recipes.decayed(graph, self.optimizer.decayed) if decay else set()
        cells, bounds = [], []
        self.names: tuple[str, ...] = ()
        for chosen, own in ((True, decay), (False, 0.0)):
            names = [name for name in parameters if (name in first) == chosen]
            if names:
                cells.append(kind([parameters[name] for name in names], self.optimizer, own))
                bounds.append((len(self.names), len(self.names) + len(names)))
                self.names += tuple(names)
        self.groups, self.bounds = tuple(cells), tuple(bounds)

    def construct(self, gradients: Gradients, *scalars: Tensor) -> Any:
        gradients = self.clip(gradients)
        done: tuple[Any, ...] = ()
        for group, (start, stop) in zip(self.groups, self.bounds):  # noqa: B905 - graph mode
            done = (*done, group(gradients[start:stop], *scalars))
        return done

    def scalars(self, lr: float, momentum: float | None, steps: int) -> list[Tensor]:
        """Return what a call takes besides the gradients, in the step that follows so many."""
        optimizer = self.optimizer
        if isinstance(optimizer, recipes.SGD):
            values = [lr, optimizer.momentum if momentum is None else momentum]
        else:
            beta1, beta2 = optimizer.betas
            beta1 = beta1 if momentum is None else momentum
            t = steps + 1
            values = [lr, 1 - beta1, lr / (1 - beta1**t), (1 - beta2**t) ** 0.5]
        return [Tensor(np.float32(value)) for value in values]

    def slots(self) -> dict[str, dict[str, Parameter]]:
        """Return what the next steps depend on: PyTorch's name for it → parameter → its own."""
        found: dict[str, dict[str, Parameter]] = {}
        for slot in self.slot_names:
            values = [p for group in self.groups for p in getattr(group, slot)]
            found[slot] = dict(zip(self.names, values, strict=True))
        return found


def _zeros(slot: str, parameters: Sequence[Parameter]) -> Any:
    """Return a Parameter of zeros beside each parameter."""
    return ms.ParameterTuple(
        Parameter(Tensor(np.zeros(p.shape, np.float32)), f"{slot}.{p.name}", requires_grad=False)
        for p in parameters
    )
