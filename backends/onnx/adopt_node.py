"""What reading a node of ONNX is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx import NodeProto

from backends.onnx.adopt_fold import Known


@dataclass(frozen=True)
class Step:
    """A call, as `zoo.adoption.program.Call` without its place."""

    output: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[NodeProto, dict[str, Any], Known, int], list[Step]]
"""From a node, its attributes, what is known of values, and the opset, to calls."""


def plain(kind: str) -> Read:
    """Return the reader of a node that is a function without options, of its first input."""
    return lambda node, values, known, opset: [Step(node.output[0], kind, (node.input[0],))]
