"""What is known of an ONNX file's values, and what is folded of it: constants and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

SMALL = 4096
"""Values of what is folded: shapes, bounds, permutations."""


MOST = 1 << 20
"""Values that a function may make before it is known how many it makes."""


class UnknownError(ValueError):
    """What a node does is not known here."""


@dataclass
class Known:
    """What is known of values: the constants, and the shapes of all."""

    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]

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
    if node.op_type == "Constant":
        known.constants[node.output[0]] = _constant(node)
        return True
    if node.op_type == "Shape" and node.input[0] in known.shapes:
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        shape = known.shapes[node.input[0]]
        part = shape[values.get("start", 0) : values.get("end", len(shape))]
        known.constants[node.output[0]] = np.array(part, np.int64)
        return True
    if node.op_type == "Identity" and node.input[0] in known.constants:
        known.constants[node.output[0]] = known.constants[node.input[0]]
        return True
    given = [known.constants.get(name) for name in node.input if name]
    if node.op_type not in FOLDED or not given or not _is_small(node, given):
        return False
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    try:
        found = np.asarray(FOLDED[node.op_type](values, *given))
    except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError) as error:
        raise UnknownError(f"{node.op_type} of constants: {error}") from None
    if found.size > SMALL:
        return False
    known.constants[node.output[0]] = found
    return True


def _is_small(node: NodeProto, given: list[Any]) -> bool:
    """Return whether all is known that a function reads, and it cannot make many values of it."""
    if any(value is None or value.size > SMALL for value in given):
        return False
    sizes = [max(value.size, 1) for value in given]
    return (sum(sizes) if node.op_type == "Concat" else math.prod(sizes[:2])) <= MOST


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
    return found


def _slice(values: dict[str, Any], x: Any, starts: Any, ends: Any, *rest: Any) -> Any:
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    index: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


FOLDED: dict[str, Callable[..., Any]] = {
    "Add": lambda v, a, b: a + b,
    "Cast": lambda v, x: x.astype(helper.tensor_dtype_to_np_dtype(v["to"])),
    "Concat": lambda v, *xs: np.concatenate(xs, v["axis"]),
    "Div": lambda v, a, b: a // b if a.dtype.kind == "i" else a / b,
    "Gather": lambda v, x, i: np.take(x, i, v.get("axis", 0)),
    "Mul": lambda v, a, b: a * b,
    "Reshape": lambda v, x, shape: x.reshape(
        [x.shape[i] if n == 0 and x.size else int(n) for i, n in enumerate(shape)]
    ),
    "Slice": _slice,
    "Squeeze": lambda v, x, axes=None: np.squeeze(x, None if axes is None else tuple(axes)),
    "Sub": lambda v, a, b: a - b,
    "Unsqueeze": lambda v, x, axes=None: np.expand_dims(
        x, tuple(axes if axes is not None else v["axes"])
    ),
}
"""What is computed where all is constant."""
