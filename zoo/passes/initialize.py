"""Weights from a seed: NumPy code over the graph, so that every backend starts from the same bits.

Values are uniform and made of raw bits by exact operations only (an integer to [0, 1), a product, a
square root): no logarithm or cosine of some platform's maths library, and no NumPy distribution,
whose stream may change between versions. Each array has a stream of its own, keyed by its name, so
that another number of classes changes the classifier and nothing else.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np

from zoo.arch import Graph, Node, Parameter
from zoo.passes.constant import unpacked
from zoo.passes.rewrite import Weights


def initialize(graph: Graph, seed: int = 0) -> Weights:
    """Return fresh weights for a network.

    Convolutions: He et al.'s uniform (arXiv:1502.01852), ±sqrt(6 / fan_in). Linear layers:
    ±1 / sqrt(fan_in), as PyTorch. Biases 0, batch norm 1 and 0, running statistics 0 and 1. Where
    an operator states a scale (`zoo.arch.damped`), its weights are multiplied by it. Constants are
    what the graph says that they are.
    """
    return {name: _initial(name, parameter, seed) for name, parameter in graph.parameters.items()}


def initialize_node(node: Node, seed: int = 0) -> Weights:
    """Return role → fresh array of one node, as `initialize` has them."""
    return {
        role: _initial(f"{node.name}.{role}", parameter, seed)
        for role, parameter in node.op.parameters().items()
    }


def randomize(graph: Graph, seed: int = 0) -> Weights:
    """Return weights with which every mistake shows: no array constant, every channel distinct.

    As `initialize`, but biases, batch norm and running statistics are drawn too: scales and
    variances from [0.5, 1.5), shifts, biases and means from [-0.5, 0.5). Comparing networks at
    their initial weights would not notice swapped gamma and beta, or statistics that were never
    read. Scales are not asked for: what starts small may hide as much.
    """
    weights = {}
    for name, stated in graph.parameters.items():
        parameter = replace(stated, scale=1.0)
        weights[name] = _initial(name, parameter, seed)
        if parameter.init in ("ones", "zeros"):
            center = 1.0 if parameter.init == "ones" else 0.0
            values = center - 0.5 + _unit(name, parameter, seed)
            weights[name] = values.astype(np.float32)
    return weights


def _initial(name: str, parameter: Parameter, seed: int) -> np.ndarray:
    if parameter.value:
        return unpacked(parameter.value, parameter.shape, name)
    if parameter.init in ("ones", "zeros"):
        value = parameter.scale * (parameter.init == "ones")
        return np.full(parameter.shape, value, np.float32)
    gain = 6.0 if parameter.init == "he_uniform" else 1.0
    bound = parameter.scale * math.sqrt(gain / parameter.fan_in)
    return ((2.0 * _unit(name, parameter, seed) - 1.0) * bound).astype(np.float32)


def _unit(name: str, parameter: Parameter, seed: int) -> np.ndarray:
    """Return float64 values in [0, 1) from the raw bits of this seed's stream for this name."""
    key = hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16]
    bits = np.random.Philox(key=np.frombuffer(key, "<u8")).random_raw(math.prod(parameter.shape))
    return ((bits >> np.uint64(11)) * 2.0**-53).reshape(parameter.shape)
