"""Arrays that are part of a network, as the text that its graph holds: masks, fixed positions."""

from __future__ import annotations

import base64
import bz2
import math

import numpy as np

from zoo.arch import Graph
from zoo.errors import GraphError
from zoo.passes.rewrite import Weights


def constants(graph: Graph) -> Weights:
    """Return the arrays that are part of a network."""
    return {
        name: unpacked(parameter.value, parameter.shape, name)
        for name, parameter in graph.parameters.items()
        if parameter.value
    }


def packed(array: np.ndarray) -> str:
    """Return an array as text: its float32, packed."""
    return base64.b85encode(bz2.compress(array.astype("<f4").tobytes())).decode()


def unpacked(text: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return the array that was packed.

    Raises:
        GraphError: it is none of the shape.
    """
    size = 4 * math.prod(shape)
    try:
        # A byte more than wanted, never all that a hostile text may unpack to.
        data = bz2.BZ2Decompressor().decompress(base64.b85decode(text), min(size, 1 << 40) + 1)
    except (ValueError, OSError) as error:
        raise GraphError(f"{name}: its value is no packed array: {error}") from None
    if len(data) != size:
        raise GraphError(f"{name}: its value must be float32 of shape {shape}, {size} bytes")
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)
