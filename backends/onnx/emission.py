"""The nodes of an ONNX model as they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from zoo.arch import Node, Shape


@dataclass
class Emission:
    """The nodes of a model as they are written."""

    opset: int
    nodes: list[NodeProto] = field(default_factory=list)

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        **values: Any,
    ) -> str:
        """Add a node and return its name, which its output has too if none are named."""
        made = list(outputs) or [name]
        self.nodes.append(helper.make_node(kind, list(inputs), made, name=name, **values))
        return name

    def constant(self, name: str, value: Sequence[int] | float) -> str:
        """Add a constant, whole numbers as a row of int64 or one float32, and return its name."""
        # A node: the initializers are the weights and nothing else, so that they can be read back.
        array = np.array(value, np.float32 if isinstance(value, float) else np.int64)
        return self.add("Constant", name, (), value=numpy_helper.from_array(array))

    def matrix(self, name: str, values: np.ndarray) -> str:
        """Add a constant of float32 values and return its name."""
        return self.add("Constant", name, (), value=numpy_helper.from_array(values))


Emit = Callable[[Emission, Node, Any, Shape], None]
"""Adds what realizes a node, for the shape of its first input."""
