"""Gradient checkpointing: stages keep what they read, and compute the rest again going backward.

What PyTorch's own `checkpoint` leaves to its caller is done here: batch norms count a batch once,
and the stages stay the modules that they are, under their names, copied and pickled like others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from zoo.arch.head import stages_of


def set_grad_checkpointing(self: Any, enable: bool = True) -> None:
    """Let the backward pass of training compute each stage again, which saves its memory, or not.

    Gradients, running statistics and dropout are the same to the bit. Outside of training and
    without gradients nothing is different.
    """
    for name in stages_of(self.zoo_graph):
        stage = self.get_submodule(name)
        if enable:
            stage.forward = Recomputed(stage)
        else:
            vars(stage).pop("forward", None)
    self.grad_checkpointing = enable


class Recomputed:
    """The ``forward`` of a stage that is computed again; no part of the module's state."""

    def __init__(self, stage: nn.Module) -> None:
        self.stage = stage

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        run = type(self.stage).forward
        recorded = torch.jit.is_tracing() or not isinstance(x, torch.Tensor)  # fx: a Proxy
        if recorded or not (self.stage.training and torch.is_grad_enabled()):
            return run(self.stage, x)
        if torch.compiler.is_compiling():
            # Compiled, counting lies outside of what is computed again. Not so with the backend
            # "eager", which is there to debug TorchDynamo: it counts twice.
            return checkpoint(run, self.stage, x, use_reentrant=False)
        return checkpoint(run, self.stage, x, use_reentrant=False, context_fn=self._contexts)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _uncounted(self.stage)


def __prepare_scriptable__(self: Any) -> Any:  # noqa: N807
    """Return what TorchScript compiles: the module, with stages that are as they were."""
    names = [name for name in stages_of(self.zoo_graph) if "forward" in vars(self._modules[name])]
    if not names:
        return self
    twin = copy.copy(self)
    twin._modules = self._modules.copy()
    for name in names:
        twin._modules[name] = stage = copy.copy(self._modules[name])
        del stage.forward
    return twin


@contextmanager
def _uncounted(stage: nn.Module) -> Iterator[None]:
    """Let batch norms normalize as they do in training, and leave their statistics alone."""
    norms = [m for m in stage.modules() if isinstance(m, _BatchNorm) and m.training]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Kept as they are, and still handed to the kernel, which saves them in both passes.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count
