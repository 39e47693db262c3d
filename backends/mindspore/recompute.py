"""Gradient checkpointing: stages keep what they read, and compute the rest again going backward.

What `Cell.recompute` leaves to its caller is done here: batch norms count a batch once. In graph
mode they are not computed again, and keep what they made; in PyNative they are, without counting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from mindspore import nn, ops

from zoo.arch.head import stages_of


def set_grad_checkpointing(self: Any, enable: bool = True) -> None:
    """Let the backward pass of training compute each stage again, which saves its memory, or not.

    Gradients and moving statistics are the same to the bit.
    """
    if enable == getattr(self, "grad_checkpointing", False):
        return
    for name in stages_of(self.zoo_graph):
        stage = self.name_cells()[name]
        norms = [cell for _, cell in stage.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
        if enable:
            stage.recompute(use_reentrant=False, context_fn=Contexts(norms))
            for norm in norms:
                norm.bn_train.recompute(False)
        else:
            stage._recompute_cell = None
            for _, cell in stage.cells_and_names():
                cell._has_config_recompute = False
                cell._scope = (cell._scope or "").removeprefix("recompute_") or None
            for norm in norms:
                norm.bn_train.del_prim_attr("recompute")
    self.compile_cache.clear()
    object.__setattr__(self, "grad_checkpointing", enable)


class Contexts:
    """What surrounds a stage's two passes in PyNative mode."""

    def __init__(self, norms: list[nn.Cell]) -> None:
        self.norms = norms

    def __call__(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _uncounted(self.norms)


@contextmanager
def _uncounted(norms: list[nn.Cell]) -> Iterator[None]:
    """Let batch norms normalize as they do in training, and leave their statistics alone."""
    kept = [norm.bn_train for norm in norms]
    for norm in norms:
        norm.bn_train = ops.BatchNorm(is_training=True, epsilon=norm.eps, momentum=0.0)
    try:
        yield
    finally:
        for norm, own in zip(norms, kept, strict=True):
            norm.bn_train = own
