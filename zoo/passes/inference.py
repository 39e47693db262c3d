"""The network that is fastest to run: all rewrites for inference, one after the other."""

from __future__ import annotations

from dataclasses import replace

from zoo.arch.graph import Graph
from zoo.passes.absorb_bias import absorb_bias
from zoo.passes.channel_shuffle import eliminate_channel_shuffle
from zoo.passes.dead_nodes import remove_dead_nodes
from zoo.passes.fold_batchnorm import fold_batchnorm
from zoo.passes.rewrite import Weights

PASSES = (remove_dead_nodes, fold_batchnorm, absorb_bias, eliminate_channel_shuffle)
"""In their order: a fold needs the batch norm next to its convolution, dead nodes stand between."""


def optimize(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
    """Rewrite a network for inference: it computes the same from fewer nodes.

    It is no longer the network of its spec, whose parameters are others: it cannot be trained on,
    nor saved under the spec's names.
    """
    for rewrite in PASSES:
        graph, weights = rewrite(graph, weights)
    return replace(graph, origin=None), weights or {}
