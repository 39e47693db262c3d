"""What moves values, what joins and parts them, and what only orders a file's calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    return at.view(at.tensor(), at.whole)


def _transpose(at: At) -> Value:
    x, order = at.tensor(), at.numbers(1, "perm")
    moved = [i for i, axis in enumerate(order) if axis % len(order) != i]
    return turned(at, x, [axis % len(order) for axis in order]) if moved else x


def turned(at: At, x: Value, order: Sequence[int]) -> Value:
    """Return a tensor with its axes in another order."""
    moved = tuple(i for i, axis in enumerate(order) if axis != i)
    shape = tuple(x.shape[axis] for axis in order)
    images = order.index(x.images) if x.images >= 0 else -1
    kind = "transpose" if len(moved) == 2 else "permute"
    dims = moved if len(moved) == 2 else tuple(order)
    return at.emit(kind, x, shape=shape, images=images, dims=dims)


def _split(at: At) -> Any:
    (axis,), (count,) = at.numbers(1, "axis"), at.numbers(2, "output_num")
    x = at.tensor()
    dim = axis % len(x.shape)
    size = x.shape[dim] // max(count, 1)
    return tuple(_cut(at, x, dim, i * size, (i + 1) * size) for i in range(count))


def _cut(at: At, x: Value, dim: int, start: int, stop: int, step: int = 1) -> Value:
    if (start, stop, step) == (0, x.shape[dim], 1):
        return x
    if dim == x.images:
        raise UnknownError(f"{at.node.kind}: of the images")
    shape = (*x.shape[:dim], len(range(start, stop, step)), *x.shape[dim + 1 :])
    return at.emit("slice", x, shape=shape, dim=dim, start=start, end=stop, step=step)


def _picked(at: At, x: Value, dim: int, index: int) -> Value:
    if dim == x.images:
        raise UnknownError(f"{at.node.kind}: one of the images")
    shape = (*x.shape[:dim], *x.shape[dim + 1 :])
    images = x.images - (dim < x.images)
    return at.emit("select", x, shape=shape, images=images, dim=dim, index=index)


def _unstack(at: At) -> Any:
    x, dim = at.tensor(), int(at.options.get("axis", 0))
    return tuple(_picked(at, x, dim % len(x.shape), i) for i in range(x.shape[dim]))


def _strided(at: At) -> Value:
    x = at.tensor()
    bounds = [at.numbers(i, name) for i, name in enumerate(("begin", "end", "strides"), 1)]
    begins, ends, ellipsis, fresh, single = (at.numbers(i, "mask", 0)[0] for i in range(4, 9))
    if ellipsis or fresh:
        raise UnknownError("StridedSlice: its masks must be of begins, ends and single indices")
    dim = 0
    for i, (begin, end, each) in enumerate(zip(*bounds, strict=True)):
        size = x.shape[dim] * (max(at.reader.rows, 1) if dim == x.images else 1)
        if single >> i & 1:
            x = _picked(at, x, dim, begin % size)
            continue
        first, last = (None if m >> i & 1 else n for m, n in ((begins, begin), (ends, end)))
        found = slice(first, last, each).indices(size)
        x = x if found == (0, size, 1) else _cut(at, x, dim, *found)
        dim += 1
    return x


def _gather(at: At) -> Value:
    x, (axis,), indices = at.tensor(), at.numbers(2, "axis"), at.numbers(1, "indices")
    dim = axis % len(x.shape)
    shape = (*x.shape[:dim], len(indices), *x.shape[dim + 1 :])
    kind = "index_select" if dim == 1 and x.images == 0 else "index"
    return at.emit(kind, x, shape=shape, dim=dim, indices=indices)


def _cat(at: At) -> Value:
    *parts, last = at.args if len(at.args) > 1 else (*at.args, at.options.get("axis", 0))
    values = _several(at, parts)
    return at.emit("cat", *values, dim=int(last) % len(at.whole))


def _stack(at: At) -> Value:
    dim = int(at.options.get("axis", 0)) % len(at.whole)
    values = []
    for x in _several(at, at.args):
        shape = (*x.shape[:dim], 1, *x.shape[dim:])
        values.append(at.viewed(x, shape, x.images + (0 <= dim <= x.images)))
    return at.emit("cat", *values, dim=dim)


def _several(at: At, parts: Sequence[Any]) -> list[Value]:
    several = parts[0] if len(parts) == 1 and isinstance(parts[0], tuple) else parts
    if any(part is LOST for part in several):
        raise LostError
    return [at.value(part) for part in several]


def _expand(at: At) -> Value:
    x, whole = at.tensor(), at.whole
    if at.node.kind == "Tile" and any(
        n not in (1, w) for n, w in zip(x.shape[::-1], whole[::-1], strict=False)
    ):
        raise UnknownError("Tile: of what is wider than one")
    images = x.images + len(whole) - len(x.shape) if x.images >= 0 else -1
    if images < 0 and whole[:1] == (at.reader.rows,) and x.shape[: len(whole)][:1] in ((1,), ()):
        images = 0
    shape = at.one(images)
    if shape == x.shape and images == x.images:
        return x
    return at.emit("expand", x, shape=shape, images=images)


READ: dict[str, Callable[[At], Any]] = {
    "BroadcastTo": _expand,
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
    "Stack": _stack,
    "StridedSlice": _strided,
    "Switch": _control,
    "Tile": _expand,
    "Transpose": _transpose,
    "TupleGetItem": _item,
    "Unstack": _unstack,
    "UpdateState": _state,
    "make_list": _tuple,
}
