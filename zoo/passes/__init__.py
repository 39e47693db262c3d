"""Rewrites (Graph, Weights) → (Graph, Weights) that keep the function, one file each."""

from zoo.passes.group_conv import merge_group_conv, split_group_conv
from zoo.passes.rewrite import Rewrite, Weights

__all__ = ["Rewrite", "Weights", "merge_group_conv", "split_group_conv"]
