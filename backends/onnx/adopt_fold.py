"""What is known of an ONNX file's values, and what is folded of it: constants and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from zoo.adoption.program import UnknownError

SMALL = 1 << 21
"""Values of what is folded: shapes, bounds, permutations, masks."""
WHOLE = 1 << 24
"""Values of all of it."""
VIEWS = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What costs nothing, however large it is."""


@dataclass
class Known:
    """What is known of values: the constants, and the shapes of all.

    Attributes:
        constants: name → array.
        shapes: name → shape, where the axis of the images has a length of its own.
        learned: the constants that are arrays of the file, or made of them: a network may compute
            with them as values.
        makers: of these, the nodes that make them.
        folded: how many values have been computed.
    """

    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    learned: set[str] = field(default_factory=set)
    makers: dict[str, NodeProto] = field(default_factory=dict)
    folded: int = 0

    def constant(self, name: str, what: str) -> np.ndarray:
        """Return a constant.

        Raises:
            UnknownError: the value depends on the image.
        """
        if name not in self.constants:
            raise UnknownError(f"{what} (={name}) must be constant")
        return self.constants[name]


def fold(node: NodeProto, known: Known) -> bool:
    """Compute a node of constants alone, if it is small; return whether it was."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Constant":
        found = _constant(node)
    elif node.op_type == "Shape" and node.input[0] in known.shapes:
        shape = known.shapes[node.input[0]]
        part = shape[values.get("start", 0) : values.get("end", len(shape))]
        found = np.array(part, np.int64)
    else:
        given = [known.constants.get(name) for name in node.input if name]
        free = node.op_type in VIEWS and all(x is not None for x in given)
        if node.op_type not in FOLDED or not given or not (free or _is_small(node, given)):
            return False
        try:
            found = np.asarray(FOLDED[node.op_type](values, *given))
        except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError) as error:
            raise UnknownError(f"{node.op_type} of constants: {error}") from None
        known.folded += 0 if free else found.size
        if known.folded > WHOLE:
            return False
        if found.dtype == np.float32 and known.learned.intersection(node.input):
            known.learned.add(node.output[0])
            known.makers[node.output[0]] = node
    known.constants[node.output[0]] = found
    return True


def _is_small(node: NodeProto, given: list[Any]) -> bool:
    """Return whether all is known that a function reads, and it cannot make many values of it."""
    if any(value is None or value.size > SMALL for value in given):
        return False
    sizes = [max(value.size, 1) for value in given]
    if node.op_type == "Gather":
        return math.prod(sizes) <= SMALL
    if node.op_type in ("Concat", "ScatterND", "GatherND", "Slice"):
        return sum(sizes) <= SMALL
    try:
        return math.prod(np.broadcast_shapes(*(value.shape for value in given))) <= SMALL
    except ValueError:  # no function of numbers side by side, and it sees to it by itself
        return True


def reshaped(node: NodeProto, shape: tuple[int, ...], known: Known) -> tuple[int, ...]:
    """Return the shape that a Reshape makes of one."""
    wanted = [int(n) for n in known.constants[node.input[1]].ravel()]
    zero = any(a.name == "allowzero" and a.i for a in node.attribute)
    if not zero:
        wanted = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(wanted)]
    rest = math.prod(n for n in wanted if n != -1)
    return tuple(math.prod(shape) // max(rest, 1) if n == -1 else n for n in wanted)


def _constant(node: NodeProto) -> np.ndarray:
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if isinstance(value, TensorProto):
        if math.prod(value.dims) > 1 << 29 or min(value.dims, default=0) < 0:
            raise UnknownError(f"Constant: shape {list(value.dims)} is not possible")
        return np.asarray(numpy_helper.to_array(value))
    found = np.asarray(value)
    if found.dtype.kind not in "biuf":
        raise UnknownError(f"Constant: must be numbers, not {found.dtype}")
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def _slice(values: dict[str, Any], x: Any, starts: Any, ends: Any, *rest: Any) -> Any:
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    index: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


def _filled(values: dict[str, Any], shape: Any) -> Any:
    value = numpy_helper.to_array(values["value"]) if "value" in values else np.zeros(1, np.float32)
    return np.broadcast_to(value.ravel()[:1], _bounded(shape))


def _bounded(shape: Any) -> list[int]:
    if math.prod(int(n) for n in shape) > SMALL:
        raise ValueError(f"shape {list(shape)[:8]} is too large")
    return [int(n) for n in shape]


def _range(values: dict[str, Any], start: Any, stop: Any, step: Any) -> Any:
    _bounded([abs(int((stop - start) / step))])
    return np.arange(start, stop, step, start.dtype)


def _expand(values: dict[str, Any], x: Any, shape: Any) -> Any:
    return np.broadcast_to(x, _bounded(np.broadcast_shapes(x.shape, tuple(map(int, shape)))))


def _gathered(values: dict[str, Any], x: Any, indices: Any) -> Any:
    if values.get("batch_dims"):
        raise ValueError("batch_dims must be 0")
    return x[tuple(np.moveaxis(indices, -1, 0))]


def _scattered(values: dict[str, Any], x: Any, indices: Any, updates: Any) -> Any:
    if values.get("reduction", b"none") != b"none":
        raise ValueError("reduction must be none")
    made = np.array(x)
    made[tuple(np.moveaxis(indices, -1, 0))] = updates
    return made


def _axes(values: dict[str, Any], axes: Any) -> Any:
    found = axes if axes is not None else values.get("axes")
    return None if found is None else tuple(map(int, found))


FOLDED: dict[str, Callable[..., Any]] = {
    "Add": lambda v, a, b: a + b,
    "Cast": lambda v, x: x.astype(helper.tensor_dtype_to_np_dtype(v["to"])),
    "Concat": lambda v, *xs: np.concatenate(xs, v["axis"]),
    "ConstantOfShape": _filled,
    "Div": lambda v, a, b: a // b if a.dtype.kind == "i" else a / b,
    "Equal": lambda v, a, b: a == b,
    "Expand": _expand,
    "Gather": lambda v, x, i: np.take(x, i, v.get("axis", 0)),
    "GatherND": _gathered,
    "Identity": lambda v, x: x,
    "Mod": lambda v, a, b: np.fmod(a, b) if v.get("fmod") else a % b,
    "Mul": lambda v, a, b: a * b,
    "Neg": lambda v, x: -x,
    "Not": lambda v, x: ~x,
    "Pow": lambda v, a, b: np.power(a, b).astype(a.dtype),
    "Range": _range,
    "Reshape": lambda v, x, shape: x.reshape(
        [x.shape[i] if n == 0 and x.size else int(n) for i, n in enumerate(shape)]
    ),
    "ScatterND": _scattered,
    "Slice": _slice,
    "Sqrt": lambda v, x: np.sqrt(x),
    "Squeeze": lambda v, x, axes=None: np.squeeze(x, _axes(v, axes)),
    "Sub": lambda v, a, b: a - b,
    "Transpose": lambda v, x: np.transpose(x, v.get("perm")),
    "Unsqueeze": lambda v, x, axes=None: np.expand_dims(x, _axes(v, axes)),
    "Where": lambda v, c, a, b: np.where(c, a, b),
}
"""What is computed where all is constant."""
