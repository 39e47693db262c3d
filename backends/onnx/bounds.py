"""ONNX files of strangers: what could loop for ever or ask for any memory is refused unrun."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, TensorProto, shape_inference

from zoo.errors import WeightsError

MAX_VALUES = 1 << 30
"""Of an array that a file declares, and of all that it has to compute before it sees an input: far
above any network's."""
MAX_LENGTH = 1 << 16
"""Of values that compute shapes."""
WHOLE = (TensorProto.INT32, TensorProto.INT64)
PROPAGATED = ("Add", "Cast", "Concat", "Div", "Gather", "Identity", "Mul", "Reshape", "Slice",
              "Squeeze", "Sub", "Unsqueeze")  # fmt: skip
"""What onnx computes while it infers shapes."""
IMAGE = (1, 3, 224, 224)
"""What an input of any size is taken for."""


def require_bounded(path: Path) -> None:
    """Raise `WeightsError` unless what a file asks for is bounded, as far as its shapes tell.

    Shapes that depend on the values of an image cannot be told, and are admitted.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: is no ONNX model: {error}") from None
    if model.functions:
        raise WeightsError(
            f"{path}: functions (={len(model.functions)}) must be 0: small ones can stand for any "
            "number of nodes; onnx.inliner writes them out"
        )
    for node in model.graph.node:
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            raise WeightsError(
                f"{path}: {node.name or node.output[0]}: {node.op_type} must not be there: control "
                "flow may have no end"
            )
    computed = 0
    try:
        sizes = list(_sizes(model))
    except Exception as error:  # C++ code raises what it likes
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: its shapes cannot be inferred: {reason}") from None
    for name, size, constant in sizes:
        computed += size if constant else 0
        for count, what in ((size, "values"), (computed, "values that no input is needed for")):
            if count > MAX_VALUES:
                raise WeightsError(
                    f"{path}: {name}: {what} (={count}) must be at most {MAX_VALUES}"
                )


def inferred_shapes(model: ModelProto) -> ModelProto:
    """Return a model with the shapes of its values, which onnx infers.

    It computes small values on the way, and joins them without a bound: two of them 60 times are
    2^60. Of a file that does this no values are computed.
    """
    lengths = {t.name: math.prod(t.dims) for t in model.graph.initializer if t.data_type in WHOLE}
    for value in model.graph.input:  # of which it makes up as many unknown numbers
        kind = value.type.tensor_type
        if kind.elem_type in WHOLE:
            lengths[value.name] = math.prod(axis.dim_value for axis in kind.shape.dim)
    for node in model.graph.node:
        given = [lengths.get(name, 0) for name in node.input]
        if node.op_type in ("Shape", "Constant"):
            given = [MAX_LENGTH >> 8]  # more than any has axes
        elif node.op_type not in PROPAGATED:
            continue
        length = sum(given) if node.op_type == "Concat" else max(given, default=0)
        lengths |= dict.fromkeys(node.output, length)
    bounded = all(length <= MAX_LENGTH for length in lengths.values())
    return shape_inference.infer_shapes(model, data_prop=bounded)


def _sizes(model: ModelProto) -> Iterator[tuple[str, int, bool]]:
    """Yield (name, number of values, whether no input is needed for it) of a model's arrays."""
    graph = model.graph
    for sparse in graph.sparse_initializer:
        yield sparse.values.name, math.prod(sparse.dims), True
    # What the file says of shapes is not believed, and inferred anew.
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    for given in graph.input:
        for axis, size in zip(given.type.tensor_type.shape.dim, IMAGE, strict=False):
            if not axis.HasField("dim_value"):
                axis.dim_value = size
    inferred = inferred_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape for value in inferred.value_info}
    shapes |= {value.name: value.type.tensor_type.shape for value in inferred.output}
    varying = {value.name for value in graph.input} - {value.name for value in graph.initializer}
    for node in graph.node:
        depends = not varying.isdisjoint(node.input)
        for name in node.output:
            if depends:
                varying.add(name)
            if name in shapes:
                size = math.prod(max(1, axis.dim_value) for axis in shapes[name].dim)
                yield name, size, not depends
