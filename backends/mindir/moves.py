"""What moves values, what joins and parts them, and what only orders a file's calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.mindir.place import LOST, At, LostError, UnknownError, Value


def _first(at: At) -> Any:
    return at[0]


def _state(at: At) -> None:
    return None


def _tuple(at: At) -> Any:
    return tuple(at.args)


def _item(at: At) -> Any:
    several, (index,) = at[0], at.numbers(1, "index")
    if not isinstance(several, tuple) or not -len(several) <= index < len(several):
        raise UnknownError(f"{at.node.kind}: item {index} of what has none")
    return several[index]


def _control(at: At) -> Any:
    raise UnknownError(f"its control flow depends on the data ({at.node.kind})")


def _reshape(at: At) -> Value:
    return at.view(at.tensor(), at.shape)


def _transpose(at: At) -> Value:
    order = at.numbers(1, "perm")
    moved = tuple(i for i, axis in enumerate(order) if axis != i)
    if not moved:
        return at.tensor()
    return at.emit("transpose", at.tensor(), dims=moved)


def _split(at: At) -> Any:
    (axis,), (count,) = at.numbers(1, "axis"), at.numbers(2, "output_num")
    size = at.tensor().shape[axis] // max(count, 1)
    return _cuts(at, axis, [size] * count)


def _cuts(at: At, axis: int, sizes: list[int]) -> tuple[Value, ...]:
    found, start = [], 0
    for size in sizes:
        shape = list(at.tensor().shape)
        shape[axis] = size
        options: dict[str, Any] = {
            "dim": axis % len(shape),
            "start": start,
            "end": start + size,
            "step": 1,
        }
        found.append(at.emit("slice", at.tensor(), shape=tuple(shape), **options))
        start += size
    return tuple(found)


def _strided(at: At) -> Value:
    x, value = at.tensor(), at.tensor()
    bounds = [at.numbers(i, name) for i, name in enumerate(("begin", "end", "strides"), 1)]
    masks = [at.numbers(i, "mask", 0)[0] for i in range(4, 9)]
    if any(masks[2:]):
        raise UnknownError("StridedSlice: its masks must be of begins and ends alone")
    shape = list(x.shape)
    for axis, (begin, end, each) in enumerate(zip(*bounds, strict=True)):
        size = at.reader.rows if axis == 0 else shape[axis]
        first = None if masks[0] >> axis & 1 else begin
        last = None if masks[1] >> axis & 1 else end
        start, stop, step = slice(first, last, each).indices(size)
        if (start, stop, step) == (0, size, 1):
            continue
        if axis == 0:
            raise UnknownError("StridedSlice: of the images")
        shape[axis] = len(range(start, stop, step))
        options: dict[str, Any] = {"dim": axis, "start": start, "end": stop, "step": step}
        value = at.emit("slice", value, shape=tuple(shape), **options)
    return value


def _gather(at: At) -> Value:
    (axis,), indices = at.numbers(2, "axis"), at.numbers(1, "indices")
    return at.emit("index_select", at.tensor(), dim=axis, indices=indices)


def _cat(at: At) -> Value:
    *parts, last = at.args if len(at.args) > 1 else (*at.args, at.options.get("axis", 0))
    several = parts[0] if len(parts) == 1 and isinstance(parts[0], tuple) else tuple(parts)
    if any(part is LOST for part in several):
        raise LostError
    if not all(isinstance(part, Value) for part in several):
        raise UnknownError("Concat: with what is constant")
    return at.emit("cat", *several, dim=int(last) % len(at.shape))


READ: dict[str, Callable[[At], Any]] = {
    "Concat": _cat,
    "Depend": _first,
    "ExpandDims": _reshape,
    "Flatten": _reshape,
    "Gather": _gather,
    "Identity": _first,
    "Load": _first,
    "MakeTuple": _tuple,
    "Partial": _control,
    "Reshape": _reshape,
    "Split": _split,
    "Squeeze": _reshape,
    "StridedSlice": _strided,
    "Switch": _control,
    "Transpose": _transpose,
    "TupleGetItem": _item,
    "UpdateState": _state,
    "make_list": _tuple,
}
