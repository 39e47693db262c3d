"""Which operators a function of PyTorch is: one rule each, in a file for each kind.

A rule returns the operators that do what a call does, one after the other, or raises `UnfitError`
with what it has that no operator of ours does.
"""

from __future__ import annotations

from zoo.adoption.rules import activations, layers, moves, pools, tokens
from zoo.adoption.rules.rule import Rule, UnfitError

RULES: dict[str, Rule] = activations.RULES | layers.RULES | moves.RULES | pools.RULES | tokens.RULES
"""Function → its rule."""

__all__ = ["RULES", "Rule", "UnfitError"]
