"""A graph and its weights as an ONNX ModelProto (https://onnx.ai/onnx/repo-docs/IR.html)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, defs, helper, numpy_helper

from backends.onnx.emission import Emission
from backends.onnx.operators import OPERATORS, emit_split
from zoo.arch import INPUT, Graph, Node, Shape
from zoo.arch.graph import shape_read
from zoo.arch.operators import Slice
from zoo.errors import ExportError

BATCH = "batch"
"""The name of the open dimension."""
OPSET = 17
"""By default: from 2022, which every run-time of today reads."""
OLDEST = 11
"""Older ones write the bounds of Slice and the padding of pools in other ways."""
_PRODUCER = "parity-zoo"


def emit(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    *,
    opset: int = OPSET,
    batch: int | None = None,
    image_size: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Return a checked model: nodes under the graph's names, initializers under the weights'.

    It takes float32 ``input`` (batch, in_channels, H, W) and returns the graph's outputs under
    their names, in evaluation mode.

    Args:
        graph: the network.
        weights: canonical name → float32 array.
        opset: version of the default operator set.
        batch: a fixed number of images; any number if not given.
        image_size: height and width, by default the nominal ones. They are fixed.
        metadata: ``metadata_props`` of the model.

    Raises:
        ExportError: the opset does not have an operator, or is not known.
        InputError: the network does not admit the size.
    """
    _check_opset(graph, opset)
    size = image_size or graph.image_size
    graph.check_input((batch or 1, graph.in_channels, *size))
    shapes = graph.shapes((batch or 1, graph.in_channels, *size))
    emission = Emission(opset)
    divided, emitted = _divided(graph, shapes), set[str]()
    for node in graph.nodes:
        parts = divided.get(node.name)
        if parts is None:
            OPERATORS[type(node.op)][1](emission, node, node.op, shape_read(node, shapes))
        elif not emitted.issuperset(part.name for part in parts):
            emit_split(emission, parts)
            emitted.update(part.name for part in parts)
    rows: int | str = batch or BATCH
    model = helper.make_model(
        helper.make_graph(
            emission.nodes,
            "network",
            [_value(INPUT, (rows, *shapes[INPUT][1:]))],
            [_value(n, _open(n, graph, shapes, batch)) for n in dict.fromkeys(graph.outputs)],
            [numpy_helper.from_array(weights[name], name) for name in graph.parameters],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        # The oldest version of the file format that admits the opset: old run-times read it.
        ir_version=helper.find_min_ir_version_for([helper.make_opsetid("", opset)]),
        producer_name=_PRODUCER,
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model


def _divided(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, list[Node]]:
    """Return slice → all slices of its input, where those divide it: one node does for all."""
    slices: dict[str, list[tuple[int, int, Node]]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Slice):
            slices.setdefault(node.inputs[0], []).append((node.op.start, node.op.stop, node))
    found: dict[str, list[Node]] = {}
    for source, parts in slices.items():
        ends = [0, *(stop for _, stop, _ in sorted(parts, key=lambda part: part[:2]))]
        starts = sorted(start for start, _, _ in parts)
        if len(parts) > 1 and [*starts, shapes[source][1]] == ends:
            nodes = [node for _, _, node in sorted(parts, key=lambda part: part[:2])]
            found |= {node.name: nodes for node in nodes}
    return found


def _check_opset(graph: Graph, opset: int) -> None:
    """Raise `ExportError` unless the opset has every operator of the graph."""
    newest = defs.onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise ExportError(f"opset (={opset}) must be from {OLDEST} to {newest}")
    for node in graph.nodes:
        kind = OPERATORS[type(node.op)][0]
        if not defs.has(kind, opset):
            raise ExportError(
                f"{node.name}: {kind} is in ONNX from opset {_since(kind)} on; "
                f"opset (={opset}) is too old"
            )


def _since(kind: str) -> int:
    return min(s.since_version for s in defs.get_all_schemas_with_history() if s.name == kind)


def _open(
    name: str, graph: Graph, shapes: Mapping[str, Shape], batch: int | None
) -> tuple[int | str | None, ...]:
    """Return the shape of an output, its axis of images left open."""
    shape = shapes[name]
    if batch or name in graph.fixed:
        return shape
    return (BATCH if shape[0] == 1 else None, *shape[1:])


def _value(name: str, shape: tuple[int | str | None, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
