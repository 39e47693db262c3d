"""Optimizers as data. Each backend realizes the same arithmetic (`backends.Trainer`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from zoo.errors import SpecError
from zoo.recipes.part import Part

Decayed = Literal["all", "not_norm", "weights"]
"""What weight decay is for: all parameters; all but those of batch norms (as MindSpore's optimizers
do when nobody tells them otherwise); or neither batch norms nor biases."""


@dataclass(frozen=True, kw_only=True)
class SGD(Part):
    """PyTorch's SGD: v ← momentum·v + g + weight_decay·p, p ← p - lr·v.

    Attributes:
        lr: the learning rate that the schedule's factors are of.
        momentum: of the moving sum of gradients; a schedule may cycle it.
        nesterov: whether the step looks ahead: p ← p - lr·(g + momentum·v).
        weight_decay: coupled, as above.
        decayed: which parameters have it.
    """

    name: Literal["sgd"] = "sgd"
    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decayed: Decayed = "all"

    def __post_init__(self) -> None:
        _require(self.name, self.lr, self.weight_decay)
        if not 0 <= self.momentum < 1:
            raise SpecError(f"sgd.momentum (={self.momentum:g}) must be from 0 to less than 1")
        if self.nesterov and not self.momentum:
            raise SpecError("sgd.nesterov (=True) needs a momentum greater than 0")


@dataclass(frozen=True, kw_only=True)
class Adam(Part):
    """PyTorch's Adam, or AdamW where ``decoupled`` is set.

    Attributes:
        lr: the learning rate that the schedule's factors are of.
        betas: of the moving means of gradients and of their squares; a schedule may cycle the
            first.
        eps: added to the root of the bias-corrected second mean.
        weight_decay: added to the gradient; or taken off the parameter, times the learning rate,
            where ``decoupled`` is set.
        decayed: which parameters have it.
        decoupled: whether it is AdamW.
    """

    name: Literal["adam"] = "adam"
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decayed: Decayed = "all"
    decoupled: bool = False

    def __post_init__(self) -> None:
        _require(self.name, self.lr, self.weight_decay)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SpecError(f"adam.betas (={list(self.betas)}) must be from 0 to less than 1")
        if not self.eps > 0:
            raise SpecError(f"adam.eps (={self.eps:g}) must be greater than 0")


Optimizer = Annotated[SGD | Adam, Field(discriminator="name")]


def _require(name: str, lr: float, weight_decay: float) -> None:
    if not lr > 0:
        raise SpecError(f"{name}.lr (={lr:g}) must be greater than 0")
    if not weight_decay >= 0:
        raise SpecError(f"{name}.weight_decay (={weight_decay:g}) must be at least 0")
