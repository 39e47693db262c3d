"""Rewrites (Graph, Weights) → (Graph, Weights) that keep the function, one file each."""

from zoo.passes.absorb_bias import absorb_bias
from zoo.passes.channel_shuffle import eliminate_channel_shuffle
from zoo.passes.conventions import Order, convert_conventions, match_channels, match_weights
from zoo.passes.dead_nodes import remove_dead_nodes
from zoo.passes.fold_batchnorm import fold_batchnorm
from zoo.passes.group_conv import merge_group_conv, split_group_conv
from zoo.passes.inference import optimize
from zoo.passes.rewrite import Rewrite, Weights

__all__ = [
    "Order",
    "Rewrite",
    "Weights",
    "absorb_bias",
    "convert_conventions",
    "eliminate_channel_shuffle",
    "fold_batchnorm",
    "match_channels",
    "match_weights",
    "merge_group_conv",
    "optimize",
    "remove_dead_nodes",
    "split_group_conv",
]
