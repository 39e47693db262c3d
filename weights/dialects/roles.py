"""What the arrays of a layer are called in each framework."""

from __future__ import annotations

from zoo.arch import Operator
from zoo.arch.operators import BatchNorm2d, GroupNorm, LayerNorm, PReLU

_AFFINE = {"weight": "gamma", "bias": "beta"}
_STATISTICS = {"running_mean": "moving_mean", "running_var": "moving_variance"}
_MINDSPORE: dict[type[Operator], dict[str, str]] = {
    BatchNorm2d: _AFFINE | _STATISTICS,
    LayerNorm: _AFFINE,
    GroupNorm: _AFFINE,
    PReLU: {"weight": "w"},
}
"""Operator → PyTorch's names for what it holds → MindSpore's, where it has others."""

CANONICAL = {theirs: ours for ours, theirs in (_AFFINE | _STATISTICS).items()}
"""MindSpore's names of what norms hold → PyTorch's."""


def role_in(op: Operator, role: str, framework: str) -> str:
    """Return what an array is called in a framework."""
    return _MINDSPORE.get(type(op), {}).get(role, role) if framework == "mindspore" else role
