"""Primitives of MindSpore in PyTorch's terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backends.mindir.proto import Node
from zoo.adoption.program import Call

LOST: Any = object()
"""The value of what could not be read."""
ROOM = {"SAME": "same", "VALID": "valid", "PAD": "pad", "0": "pad", "1": "same", "2": "valid"}
"""How `pad_mode` is written → what it is called."""


class UnknownError(ValueError):
    """What a node does is not known here."""


class LostError(ValueError):
    """A node reads what could not be read."""


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the images.

    Attributes:
        name: of it.
        shape: of it, for one image.
        source: the tensor that it is another view of.
        scope: of the Cell that it is in, where that is known.
    """

    name: str
    shape: tuple[int, ...]
    source: Value | None = None
    scope: str | None = None

    @property
    def root(self) -> Value:
        """What it is a view of, or itself."""
        return self.source or self


@dataclass(frozen=True)
class Held:
    """A parameter."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class At:
    """A node at its place, with the values that it reads."""

    reader: Any
    node: Node
    args: list[Any]
    name: str
    scope: str

    @property
    def options(self) -> Mapping[str, Any]:
        return self.node.options

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes (the first of several), for one image."""
        shape = self.node.shape
        return self.reader.one(shape[0] if shape and isinstance(shape[0], tuple) else shape)

    def __getitem__(self, i: int) -> Any:
        if i >= len(self.args):
            raise UnknownError(f"{self.node.kind}: inputs (={len(self.args)}) must be more")
        if self.args[i] is LOST:
            raise LostError
        return self.args[i]

    def tensor(self, i: int = 0) -> Value:
        """Return an input that depends on the images."""
        if not isinstance(self[i], Value):
            raise UnknownError(f"{self.node.kind}: input {i} must depend on the images")
        return self.args[i]

    def held(self, i: int, what: str, rank: int | None = None) -> str:
        """Return the name of a parameter."""
        value = self[i]
        if not isinstance(value, Held):
            raise UnknownError(f"{self.node.kind}: its {what} must be a parameter")
        if rank is not None and len(value.shape) != rank:
            raise UnknownError(f"{self.node.kind}: its {what} of shape {value.shape}")
        return value.name

    def fixed(self, i: int, name: str, default: Any = None) -> Any:
        """Return an argument that is a constant input, or an option in older files."""
        value = self[i] if i < len(self.args) else self.options.get(name, default)
        if isinstance(value, Value | Held):
            raise UnknownError(f"{self.node.kind}: {name} must be constant")
        return value.tolist() if isinstance(value, np.ndarray) else value

    def numbers(self, i: int, name: str, default: Any = None) -> tuple[int, ...]:
        """Return an argument of one integer or several."""
        value = self.fixed(i, name, default)
        found = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(n, int) for n in found):
            raise UnknownError(f"{self.node.kind}: {name} (={value}) must be integers")
        return tuple(found)

    def pair(self, i: int, name: str, default: Any = None) -> tuple[int, int]:
        """Return an argument of height and width, which are the last of its numbers."""
        found = self.numbers(i, name, default)
        if not 1 <= len(found) <= 5 or min(found) < 0:
            raise UnknownError(f"{self.node.kind}: {name} (={found}) must be of height and width")
        return found[-2:] if len(found) > 1 else (found[0], found[0])  # type: ignore[return-value]

    def number(self, i: int, name: str) -> float:
        """Return an argument that is a float, as its decimal digits say it."""
        value = self.fixed(i, name)
        if not isinstance(value, int | float):
            raise UnknownError(f"{self.node.kind}: {name} (={value}) must be a number")
        return float(np.float32(value).astype(str))

    def emit(
        self,
        kind: str,
        *inputs: Value,
        shape: tuple[int, ...] | None = None,
        held: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Value:
        """Make a call; return its result."""
        shape = self.shape if shape is None else shape
        names = tuple(value.name for value in inputs)
        known = next((value.scope for value in inputs if value.scope is not None), None)
        scope = self.scope if known is None else known
        call = Call(self.name, kind, names, shape, scope, options, held or {})
        return replace(self.reader.add(call), scope=known)

    def view(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Return a tensor in another shape: views of views are of the first."""
        root = replace(x.root, scope=x.scope)
        if math.prod(root.shape) != math.prod(shape):
            raise UnknownError(f"{self.node.kind}: shape {root.shape} cannot be {shape}")
        return root if root.shape == shape else replace(
            self.emit("reshape", root, shape=shape), source=root
        )  # fmt: skip


Read = Callable[[At], Any]


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


def _same(top: int, size: int) -> tuple[int, int]:
    return top, size - top


def _conv(at: At) -> Value:
    x, weight = at.tensor(), at.held(1, "weight", 4)
    size = at[1].shape[2:]
    stride, dilation = at.pair(9, "stride", 1), at.pair(9, "dilation", 1)
    mode, padding = _mode(at), (0, 0, 0, 0)
    if mode == "pad":
        top, bottom, left, right = at.numbers(9, "pad", (0, 0, 0, 0))
        padding = (top, left, bottom, right)
    elif mode == "same" and size != (1, 1):
        whole = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
        (top, bottom), (left, right) = (_same(n // 2, n) for n in whole)
        # How much is padded depends on the image's size where steps are larger than one.
        padding = (top, left, bottom, right) if stride == (1, 1) else "SAME_UPPER"  # type: ignore[assignment]
    (groups,) = at.numbers(9, "group", 1)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return at.emit("conv2d", x, held={"weight": weight}, **options)


def _mode(at: At, i: int = 9) -> str:
    mode = str(at.fixed(i, "pad_mode", "valid")).upper()
    if mode not in ROOM or at.options.get("format", "NCHW") not in ("NCHW", "NCDHW", 0):
        raise UnknownError(f"{at.node.kind}: pad_mode (={mode}) of a map that must be NCHW")
    return ROOM[mode]


def _batch_norm(at: At) -> Any:
    if at.fixed(5, "is_training", False):
        raise UnknownError("BatchNorm: it normalizes by the batch in evaluation mode")
    roles = ("weight", "bias", "running_mean", "running_var")
    held = {role: at.held(i + 1, role, 1) for i, role in enumerate(roles)}
    options = {"eps": at.number(6, "epsilon"), "momentum": at.number(7, "momentum")}
    return (at.emit("batch_norm", at.tensor(), held=held, **options),)


def _matmul(at: At) -> Value:
    if at.fixed(2, "transpose_a", False) or not at.fixed(3, "transpose_b", False):
        raise UnknownError("MatMul: its second factor must be transposed, and its first not")
    return _over_features(at, "linear", at[1].shape[0], {"weight": at.held(1, "weight", 2)})


def _over_features(at: At, kind: str, features: int, held: Mapping[str, str]) -> Value:
    """Call what works on the last axis where the others are still apart."""
    x = at.tensor()
    root = x.root if x.shape[0] != 1 and x.root.shape[-1] == x.shape[-1] else x
    made = at.emit(kind, root, shape=(*root.shape[:-1], features), held=held)
    return made if root is x else replace(at.view(made, (*x.shape[:-1], features)), source=made)


def _bias(at: At) -> Value:
    x, bias = at.tensor(), at.held(1, "bias", 1)
    before: Call | None = at.reader.made.get(x.root.name)
    if before is None or before.kind not in ("conv2d", "linear") or "bias" in before.held:
        raise UnknownError("BiasAdd: of what is no layer")
    held = {**before.held, "bias": bias}
    made = replace(at.reader.add(replace(before, name=at.name, held=held)), scope=x.scope)
    return made if x.source is None else replace(at.view(made, x.shape), source=made)


def _pool(at: At) -> Value:
    if _mode(at, 3) == "pad":
        raise UnknownError(f"{at.node.kind}: pad_mode must be same or valid")
    padding: Any = "SAME_UPPER" if _mode(at, 3) == "same" else (0, 0)
    options = {
        "kernel_size": at.pair(1, "kernel_size"), "stride": at.pair(2, "strides"),
        "padding": padding, "ceil_mode": False,
    }  # fmt: skip
    if at.node.kind == "MaxPool":
        return at.emit("max_pool2d", at.tensor(), **options, dilation=(1, 1))
    more = {"count_include_pad": False, "divisor_override": None}
    return at.emit("avg_pool2d", at.tensor(), **options, **more)


def _padded_pool(at: At) -> Any:
    """Read a pool with padding, which is one of volumes that are one thick."""
    x, kind = at.tensor(), at.node.kind
    flat = kind == "MaxPoolWithArgmaxV2"
    map_ = x if flat else x.root
    ranks = (4,) if flat else (5, 4)
    if len(x.shape) != ranks[0] or len(map_.shape) != 4 or (not flat and x.shape[2] != 1):
        raise UnknownError(f"{kind}: of volumes")
    name = {"AvgPool3D": "pad", "MaxPool3DWithArgmax": "pads", "MaxPoolWithArgmaxV2": "pads"}[kind]
    sides = at.numbers(9, name, 0)
    if kind == "AvgPool3D":  # front, back, top, bottom, left, right
        if len(sides) != 6 or sides[2::2] != sides[3::2]:
            raise UnknownError(f"{kind}: pads (={sides}) must be alike on opposite sides")
        sides = sides[2::2]
    options = {
        "kernel_size": at.pair(9, "ksize" if kind == "MaxPool3DWithArgmax" else "kernel_size"),
        "stride": at.pair(9, "strides"),
        "padding": sides[-2:],
        "ceil_mode": bool(at.options.get("ceil_mode")),
    }
    shape = at.shape if flat else (*at.shape[:2], *at.shape[3:])
    if kind == "AvgPool3D":
        more: dict[str, Any] = {
            "count_include_pad": bool(at.options.get("count_include_pad", True)),
            "divisor_override": at.options.get("divisor_override") or None,
        }
        return at.view(at.emit("avg_pool2d", map_, shape=shape, **options, **more), at.shape)
    dilation = at.pair(9, "dilation", 1)
    made = at.emit("max_pool2d", map_, shape=shape, **options, dilation=dilation)
    return (made if flat else at.view(made, at.shape),)


def _adaptive(at: At) -> Value:
    size = tuple(n if n and n > 0 else s for n, s in zip(
        at.pair(9, "output_size"), at.tensor().shape[2:], strict=True))  # fmt: skip
    return at.emit("adaptive_avg_pool2d", at.tensor(), output_size=size)


def _mean(at: At) -> Value:
    axes = at.numbers(1, "axis")
    return at.emit("mean", at.tensor(), dim=list(axes), keepdim=bool(at.fixed(2, "keep_dims")))


def _pad(at: At) -> Value:
    if at.node.kind == "Pad":
        sides = at.options.get("paddings")
    else:
        flat = at.numbers(1, "paddings")  # of the last axis first
        sides = (*(((0, 0),) * (4 - len(flat) // 2)), *zip(flat[-2::-2], flat[::-2], strict=True))
    mode = at.options.get("mode", "constant")
    return _pads(at, sides, mode, float(at.fixed(2, "value", 0.0) or 0.0))


def _pads(at: At, sides: Any, mode: str, value: float) -> Value:
    if not isinstance(sides, tuple) or len(sides) != 4 or any(map(any, sides[:2])):
        raise UnknownError(f"{at.node.kind}: paddings (={sides}) must be of height and width alone")
    (top, bottom), (left, right) = sides[2:]
    return at.emit(
        "pad", at.tensor(), sides=(top, left, bottom, right), mode=mode, value=value
    )  # fmt: skip


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
        options = {"dim": axis % len(shape), "start": start, "end": start + size, "step": 1}
        found.append(at.emit("slice", at.tensor(), shape=tuple(shape), **options))
        start += size
    return tuple(found)


def _strided(at: At) -> Value:
    x, value = at.tensor(), at.tensor()
    begin, end, step = (at.numbers(i, name) for i, name in enumerate(("begin", "end", "strides"), 1))
    masks = [at.numbers(i, "mask", 0)[0] for i in range(4, 9)]
    if any(masks[2:]):
        raise UnknownError("StridedSlice: its masks must be of begins and ends alone")
    shape = list(x.shape)
    for axis, bounds in enumerate(zip(begin, end, step, strict=True)):
        start, stop = (None if m >> axis & 1 else b for m, b in zip(masks, bounds, strict=False))
        if axis == 0:
            if start not in (None, 0) or bounds[2] != 1 or stop not in (None, at.reader.rows):
                raise UnknownError("StridedSlice: of the images")
            continue
        start, stop, each = slice(start, stop, bounds[2]).indices(shape[axis])
        if (start, stop, each) != (0, shape[axis], 1):
            shape[axis] = len(range(start, stop, each))
            options = {"dim": axis, "start": start, "end": stop, "step": each}
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


def _two(kind: str) -> Read:
    def read(at: At) -> Value:
        for x, other in ((at[0], at[1]), (at[1], at[0])):
            if isinstance(other, Held) and other.name in at.reader.marks and isinstance(x, Value):
                mark, what = at.reader.marks[other.name]
                return replace(x, scope=what) if mark == "scope" else at.emit(mark, x, p=what)
        if not isinstance(at[0], Value) or not isinstance(at[1], Value):
            raise UnknownError(f"{at.node.kind}: by a number or a parameter")
        return at.emit(kind, at.tensor(0), at.tensor(1))

    return read


def _clip(at: At) -> Value:
    return at.emit("hardtanh", at.tensor(), min_val=at.number(1, "min"), max_val=at.number(2, "max"))


def _plain(kind: str) -> Read:
    return lambda at: at.emit(kind, at.tensor())


READ: dict[str, Read] = {
    "AdaptiveAvgPool2D": _adaptive,
    "Add": _two("add"),
    "AvgPool": _pool,
    "AvgPool3D": _padded_pool,
    "BatchNorm": _batch_norm,
    "BiasAdd": _bias,
    "ClampScalar": _clip,
    "Concat": _cat,
    "Conv2D": _conv,
    "Depend": _first,
    "ExpandDims": _reshape,
    "Flatten": _reshape,
    "Gather": _gather,
    "HSigmoid": _plain("hardsigmoid"),
    "HSwish": _plain("hardswish"),
    "Identity": _first,
    "InplaceAddExt": _two("add"),
    "Load": _first,
    "MakeTuple": _tuple,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "MaxPool3DWithArgmax": _padded_pool,
    "MaxPoolWithArgmaxV2": _padded_pool,
    "Mul": _two("mul"),
    "Pad": _pad,
    "PadV3": _pad,
    "Partial": _control,
    "ReLU": _plain("relu"),
    "ReLU6": _plain("relu6"),
    "ReduceMean": _mean,
    "Reshape": _reshape,
    "SiLU": _plain("silu"),
    "Sigmoid": _plain("sigmoid"),
    "Split": _split,
    "Squeeze": _reshape,
    "StridedSlice": _strided,
    "Switch": _control,
    "Transpose": _transpose,
    "TupleGetItem": _item,
    "UpdateState": _state,
    "make_list": _tuple,
}
"""Primitive → what it means."""
