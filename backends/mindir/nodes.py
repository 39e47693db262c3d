"""Primitives of MindSpore in PyTorch's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backends.mindir.functions import READ as FUNCTIONS
from backends.mindir.moves import READ as MOVES
from backends.mindir.moves import turned
from backends.mindir.place import At, Held, UnknownError, Value
from zoo.adoption.program import Call

ROOM = {"SAME": "same", "VALID": "valid", "PAD": "pad", "0": "pad", "1": "same", "2": "valid"}
"""How `pad_mode` is written → what it is called."""

Read = Callable[[At], Any]


def _conv(at: At) -> Value:
    x, weight = at.tensor(), at.held(1, "weight", 4)
    size = at[1].shape[2:]
    stride, dilation = at.pair(9, "stride", 1), at.pair(9, "dilation", 1)
    mode = _mode(at)
    padding: Any = (0, 0, 0, 0)
    if mode == "pad":
        top, bottom, left, right = at.numbers(9, "pad", (0, 0, 0, 0))
        padding = (top, left, bottom, right)
    elif mode == "same" and size != (1, 1):
        whole = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
        top, left = (n // 2 for n in whole)
        bottom, right = (n - n // 2 for n in whole)
        # How much is padded depends on the image's size where steps are larger than one.
        padding = (top, left, bottom, right) if stride == (1, 1) else "SAME_UPPER"
    (groups,) = at.numbers(9, "group", 1)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
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
    # What evaluation does without is MindSpore's default in every file.
    momentum = at.reader.momenta.get(held["running_mean"], at.number(7, "momentum"))
    options = {"eps": at.number(6, "epsilon"), "momentum": momentum}
    return (at.emit("batch_norm", at.tensor(), held=held, **options),)


def _matmul(at: At) -> Value:
    first, second = bool(at.fixed(2, "transpose_a", False)), bool(at.fixed(3, "transpose_b", False))
    if isinstance(at[1], Held) and len(at[1].shape) == 2 and second and not first:
        return _over_features(at, "linear", at[1].shape[0], {"weight": at.held(1, "weight", 2)})
    factors = []
    for x, is_turned in ((at.tensor(0), first), (at.tensor(1), second)):
        last = len(x.shape) - 1
        order = [*range(last - 1), last, last - 1]
        name = replace(at, name=f"{at.name}:turned")
        factors.append(turned(name, x, order) if is_turned else x)
    x = factors[0]
    if x.images == 0 and x.shape[0] != 1 and x.root.shape[-1:] == x.shape[-1:]:
        shape = (*x.root.shape[:-1], at.whole[-1])
        made = at.emit("matmul", x.root, factors[1], shape=shape, images=x.root.images)
        return at.viewed(made, (*x.shape[:-1], at.whole[-1]), x.images)
    return at.emit("matmul", *factors)


def _layer_norm(at: At) -> Any:
    x, (start,) = at.tensor(), at.numbers(3, "begin_norm_axis")
    shape = x.shape[start % len(x.shape) :]
    held = {"weight": at.held(1, "weight", len(shape)), "bias": at.held(2, "bias", len(shape))}
    options: dict[str, Any] = {"normalized_shape": shape, "eps": at.number(5, "epsilon")}
    return (at.emit("layer_norm", x, held=held, **options),)


def _group_norm(at: At) -> Any:
    held = {"weight": at.held(2, "weight", 1), "bias": at.held(3, "bias", 1)}
    (groups,) = at.numbers(1, "num_groups")
    options: dict[str, Any] = {"num_groups": groups, "eps": at.number(4, "eps")}
    return (at.emit("group_norm", at.tensor(), held=held, **options),)


def _softmax(at: At) -> Value:
    (axis,) = at.numbers(1, "axis")
    return at.emit("softmax", at.tensor(), dim=axis, dtype=None)


def _normalize(at: At) -> Value:
    (axis,) = at.numbers(9, "axis")
    eps = float(at.options.get("epsilon", 1e-4)) ** 0.5
    return at.emit("normalize", at.tensor(), dim=axis, eps=eps)


def _over_features(at: At, kind: str, features: int, held: Mapping[str, str]) -> Value:
    """Call what works on the last axis where the others are still apart."""
    x = at.tensor()
    root = x.root if x.shape[0] != 1 and x.root.shape[-1] == x.shape[-1] else x
    shape = (*root.shape[:-1], features)
    made = at.emit(kind, root, shape=shape, images=root.images, held=held)
    return made if root is x else at.viewed(made, (*x.shape[:-1], features), x.images)


def _bias(at: At) -> Value:
    x, bias = at.tensor(), at.held(1, "bias", 1)
    before: Call | None = at.reader.made.get(x.root.name)
    if before is None or before.kind not in ("conv2d", "linear") or "bias" in before.held:
        if x.root.shape[-1] != x.shape[-1] or len(x.shape) != 2:
            raise UnknownError("BiasAdd: of what is no layer")
        made = at.emit("add", x.root, at.tensor(1), shape=x.root.shape, images=x.root.images)
        return at.viewed(made, x.shape, x.images) if x.source else made
    held = {**before.held, "bias": bias}
    made = replace(at.reader.add(replace(before, name=at.name, held=held)), scope=x.scope)
    return made if x.source is None else at.viewed(made, x.shape, x.images)


def _pool(at: At) -> Value:
    if _mode(at, 3) == "pad":
        raise UnknownError(f"{at.node.kind}: pad_mode must be same or valid")
    padding: Any = "SAME_UPPER" if _mode(at, 3) == "same" else (0, 0)
    options: dict[str, Any] = {
        "kernel_size": at.pair(1, "kernel_size"), "stride": at.pair(2, "strides"),
        "padding": padding, "ceil_mode": False,
    }  # fmt: skip
    if at.node.kind == "MaxPool":
        return at.emit("max_pool2d", at.tensor(), **options, dilation=(1, 1))
    more: dict[str, Any] = {"count_include_pad": False, "divisor_override": None}
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
    options: dict[str, Any] = {
        "kernel_size": at.pair(9, "ksize" if kind == "MaxPool3DWithArgmax" else "kernel_size"),
        "stride": at.pair(9, "strides"),
        "padding": sides[-2:],
        "ceil_mode": bool(at.options.get("ceil_mode")),
    }
    whole = at.one(x.images)
    shape = whole if flat else (*whole[:2], *whole[3:])
    if kind == "AvgPool3D":
        more: dict[str, Any] = {
            "count_include_pad": bool(at.options.get("count_include_pad", True)),
            "divisor_override": at.options.get("divisor_override") or None,
        }
        made = at.emit("avg_pool2d", map_, shape=shape, **options, **more)
        return at.viewed(made, whole, x.images)
    dilation = at.pair(9, "dilation", 1)
    made = at.emit("max_pool2d", map_, shape=shape, **options, dilation=dilation)
    return (made if flat else at.viewed(made, whole, x.images),)


def _adaptive(at: At) -> Value:
    size = tuple(n if n and n > 0 else s for n, s in zip(
        at.pair(9, "output_size"), at.tensor().shape[2:], strict=True))  # fmt: skip
    return at.emit("adaptive_avg_pool2d", at.tensor(), output_size=size)


def _mean(at: At) -> Value:
    return _reduced(at, "mean", at.tensor(), at.numbers(1, "axis"), at.fixed(2, "keep_dims"))


def _sum(at: At) -> Value:
    return _reduced(at, "sum", at.tensor(), at.numbers(1, "dim"), at.fixed(2, "keepdim"))


def _max(at: At) -> Value:
    return _reduced(at, "amax", at.tensor(), at.numbers(1, "axis"), at.fixed(2, "keep_dims"))


def _reduced(at: At, kind: str, x: Value, axes: Sequence[int], keep: Any) -> Value:
    dims = sorted(axis % len(x.shape) for axis in axes)
    if x.images in dims:
        raise UnknownError(f"{at.node.kind}: over the images")
    images = x.images - (0 if keep else sum(d < x.images for d in dims))
    return at.emit(kind, x, images=images, dim=dims, keepdim=bool(keep))


def _resize(at: At) -> Value:
    names = enumerate(("align_corners", "half_pixel_centers"), 2)
    corners, half = (bool(at.fixed(i, name, False)) for i, name in names)
    bilinear = at.node.kind == "ResizeBilinearV2"
    if corners == half if bilinear else corners or half:
        raise UnknownError(
            f"{at.node.kind}: align_corners (={corners}) and half_pixel_centers (={half})"
        )
    mode = "bilinear" if bilinear else "nearest"
    return at.emit("upsample", at.tensor(), mode=mode, scale_factors=None, align_corners=corners)


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


READ: dict[str, Read] = {
    "AdaptiveAvgPool2D": _adaptive,
    "AvgPool": _pool,
    "AvgPool3D": _padded_pool,
    "BatchMatMul": _matmul,
    "BatchNorm": _batch_norm,
    "BiasAdd": _bias,
    "Conv2D": _conv,
    "GroupNorm": _group_norm,
    "L2Normalize": _normalize,
    "LayerNorm": _layer_norm,
    "MatMul": _matmul,
    "MatMulExt": _matmul,
    "MaxPool": _pool,
    "MaxPool3DWithArgmax": _padded_pool,
    "MaxPoolWithArgmaxV2": _padded_pool,
    "Pad": _pad,
    "PadV3": _pad,
    "ReduceMax": _max,
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    "ResizeBilinearV2": _resize,
    "ResizeNearestNeighbor": _resize,
    "ResizeNearestNeighborV2": _resize,
    "Softmax": _softmax,
    "SumExt": _sum,
    **FUNCTIONS,
    **MOVES,
}
"""Primitive → what it means."""
