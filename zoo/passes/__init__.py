"""Rewrites (Graph, Weights) → (Graph, Weights) that keep the function, one file each."""

from zoo.passes.conventions import Order, convert_conventions, match_channels, match_weights
from zoo.passes.group_conv import merge_group_conv, split_group_conv
from zoo.passes.rewrite import Rewrite, Weights

__all__ = [
    "Order",
    "Rewrite",
    "Weights",
    "convert_conventions",
    "match_channels",
    "match_weights",
    "merge_group_conv",
    "split_group_conv",
]
