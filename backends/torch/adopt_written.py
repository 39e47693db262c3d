"""Calls of ATen that are several: parts, writes into one, maps of another size, einsums."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from backends.torch.adopt_call import Node, Options, UnknownError, value_of
from backends.torch.adopt_tokens import constant
from zoo.adoption.einsum import steps
from zoo.adoption.program import Call


def _views(reader: Any, node: Node) -> tuple[Node, list[Node]]:
    """Return what a call writes into a view of, and the views on the way, the first one first."""
    views: list[Node] = []
    base = node.args[0]
    while isinstance(base, Node) and getattr(base.target, "is_view", False):
        views.insert(0, base)
        base = base.args[0]
    if not isinstance(base, Node) or base.op != "call_function":
        raise UnknownError(f"{node.name} is no operator of the zoo")
    return base, views


def zeroed(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield what a value becomes of which a part is set to zero: a product with a mask."""
    base, views = _views(reader, node)
    mask = torch.ones(reader.shape_of(value_of(base)))
    part = mask
    for view in (*views, node):
        part = view.target(part, *view.args[1:], **view.kwargs)  # type: ignore[operator]
    held = reader.constant(f"{node.name}_mask", mask, node)
    yield held
    source = reader.now(base.name)
    made = reader.call(base, "mul", [source, held.name], {}, {})
    reader.same[source] = made.name = node.name
    yield made


def copied(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield what a value becomes of which a part is written over: joined of its parts."""
    base, views = _views(reader, node)
    source = reader.now(base.name)
    shape = reader.shape_of(value_of(base))
    images = max(reader.axis_of(value_of(base)), 0)
    # The places that are written over, of the value for one image.
    places = torch.arange(torch.Size(shape).numel()).reshape(shape)
    part = places
    for view in views:
        part = view.target(part, *view.args[1:], **view.kwargs)  # type: ignore[operator]
    spans = []
    for axis, size in enumerate(shape):
        at = torch.unique(part.reshape(-1) // places.stride(axis) % size)
        spans.append((int(at[0]), int(at[-1]) + 1))
    whole = part.numel() == torch.Size([b - a for a, b in spans]).numel()
    if not whole or part.dim() != len(shape) or spans[images] != (0, shape[images]):
        raise UnknownError("copy_: must write over a block of each image")
    value = values["src"]
    yield from reader.weight(value, node)
    made, inner = reader.now(value.name), [b - a for a, b in spans]
    calls: list[Call] = []

    def add(kind: str, tail: str, inputs: list[str], size: list[int], **options: Any) -> str:
        call = reader.call(base, kind, inputs, options, {})
        call.name, call.shape = f"{node.name}_{tail}", tuple(size)
        calls.append(call)
        return call.name

    # From the last axis to the first, what lies before and behind is set beside it.
    for axis in reversed(range(len(shape))):
        (start, stop), size = spans[axis], shape[axis]
        around = [made]
        for end, a, b in (("before", 0, start), ("behind", stop, size)):
            if a == b:
                continue
            rest, cut = source, list(shape)
            for i, (low, high) in enumerate((*spans[:axis], (a, b))):
                if (low, high) != (0, shape[i]):
                    cut[i] = high - low
                    options = {"dim": i, "start": low, "end": high, "step": 1}
                    rest = add("slice", f"{end}_{axis}_{i}", [rest], cut, **options)
            around.insert(0 if end == "before" else len(around), rest)
        inner[axis] = size
        if len(around) > 1:
            made = add("cat", f"axis_{axis}", around, inner, dim=axis)
    if not calls:
        add("identity", "all", [made], list(shape))
    reader.same[source] = calls[-1].name = node.name
    yield from calls


def resized(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield a map of another size, of which each row and column is a sum of given ones.

    It is what cubic interpolation is, and what reduces aliasing: products with two matrices.
    """
    source = values["self" if "self" in values else "input"]
    shape, made = (reader.shape_of(value_of(n)) for n in (source, node))
    x = reader.now(source.name)
    yield from reader.weight(source, node)
    scales = values.get("scale_factors")
    if scales and any(n * s != m for n, s, m in zip(shape[2:], scales, made[2:], strict=True)):
        raise UnknownError(f"scale_factors (={tuple(scales)}) must be exact")
    target: Any = node.target
    for axis in (2, 3):
        size, other = shape[axis], made[axis]
        if size == other:
            continue  # nothing is between the rows
        # Two columns alike: of one, PyTorch's antialiasing makes something else.
        ones = torch.eye(size).reshape(size, 1, size, 1).repeat(1, 1, 1, 2)
        matrix = target(ones, [other, 2], values["align_corners"], None)[:, 0, :, 0]  # (from, to)
        matrix = matrix.T if axis == 2 else matrix
        held = reader.constant(f"{node.name}_matrix_{axis}", matrix.contiguous(), node)
        yield held
        shape = (*shape[:axis], other, *shape[axis + 1 :])
        call = reader.call(node, "matmul", [held.name, x] if axis == 2 else [x, held.name], {}, {})
        call.name, call.shape = f"{node.name}_{axis}", shape
        x = call.name
        yield call
    yield reader.call(node, "identity", [x], {}, {})


def summed(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield what an einsum is."""
    for part in values["tensors"]:
        yield from reader.weight(part, node)
    names = tuple(reader.now(part.name) for part in values["tensors"])
    shapes = tuple(reader.shape_of(value_of(part)) for part in values["tensors"])
    for end, kind, inputs, shape, dims in steps(values["equation"], names, shapes):
        own = tuple(f"{node.name}{n}" if n.startswith("_") else n for n in inputs)
        call = reader.call(node, kind, own, {"dims": dims} if dims else {}, {})
        yield replace(call, name=f"{node.name}{end}", shape=shape)


def multiplied(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield a linear layer; what is computed of others is a factor, or a sum's second part."""
    weight, bias = values["weight"], values["bias"]
    layer = reader.is_array(weight) or reader.axis_of(value_of(weight)) >= 0
    if layer and (bias is None or reader.is_array(bias)):
        yield from reader.read(node, "linear", values)
        return
    if layer:
        *before, product = reader.read(node, "linear", values | {"bias": None})
        yield from before
    else:
        source = values["input"]
        yield from reader.weight(source, node)
        turned = reader.call(node, "transpose", [reader.now(weight.name)], {"dims": (0, 1)}, {})
        turned.name, turned.images = f"{node.name}_turned", -1
        turned.shape = tuple(value_of(weight).shape)[::-1]
        yield turned
        product = reader.call(node, "matmul", [reader.now(source.name), turned.name], {}, {})
    if bias is None:
        yield product
        return
    yield replace(product, name=f"{node.name}_product")
    yield from reader.weight(bias, node)
    added = [f"{node.name}_product", reader.now(bias.name)]
    yield reader.call(node, "add", added, {}, {})


def indexed(reader: Any, node: Node, values: Options) -> Iterator[Call]:
    """Yield what constant indices along axes that are neighbors choose: those are one axis then."""
    axes = [i for i, index in enumerate(values["indices"]) if index is not None]
    source = values["self"]
    shape = reader.shape_of(value_of(source))
    first, behind = axes[0], axes[-1] + 1
    if len(axes) == 1 or reader.axis_of(value_of(source)) in axes or behind - first != len(axes):
        yield from reader.read(node, "index", values)
        return
    known = reader.constants.filled("index", values)["indices"]
    found = [constant("index", known[axis]) for axis in axes]
    places = torch.zeros(1, dtype=torch.int64)
    for size, index in zip(shape[first:behind], found, strict=True):
        places = places * size + torch.where(index < 0, index + size, index)
    flat = (*shape[:first], torch.Size(shape[first:behind]).numel(), *shape[behind:])
    yield from reader.weight(source, node)
    x = reader.now(source.name)
    options = {"dim": first, "indices": tuple(places.reshape(-1).tolist())}
    images = reader.axis_of(value_of(source))
    for end, kind, more, made in (
        ("_flat", "reshape", {}, flat),
        ("_chosen", "index", options, (*flat[:first], places.numel(), *flat[first + 1 :])),
    ):
        call = reader.call(node, kind, [x], more, {})
        call.name, call.shape = f"{node.name}{end}", made
        call.images = images if images < first else images - len(axes) + 1
        x = call.name
        yield call
    yield reader.call(node, "reshape", [x], {}, {})


def parted(reader: Any, node: Node, values: Options, *, single: bool = False) -> Iterator[Call]:
    """Yield the parts that an axis is cut into."""
    dim = values.get("dim", 0)
    sizes = [1 if single else int(t.shape[dim]) for t in value_of(node)]
    part = values["self"]
    yield from reader.weight(part, node)
    source = reader.now(part.name)
    start, names = 0, []
    for i, size in enumerate(sizes):
        options = {"dim": dim, "start": start, "end": start + size, "step": 1}
        if single:
            options = {"dim": dim, "index": i}
        call = reader.call(node, "select" if single else "slice", [source], options, {})
        call.name, call.shape = f"{node.name}_{i}", reader.shape_of(value_of(node)[i])
        call.images = reader.axis_of(value_of(node)[i])
        names.append(call.name)
        start += size
        yield call
    reader.several[node.name] = names


SEVERAL: dict[str, Callable[[Any, Node, Options], Iterator[Call]]] = {
    **dict.fromkeys(
        ("_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "upsample_bicubic2d"), resized
    ),
    **dict.fromkeys(("chunk", "split", "split_with_sizes"), parted),
    "copy_": copied,
    "einsum": summed,
    "index": indexed,
    "linear": multiplied,
    "unbind": functools.partial(parted, single=True),
    "zero_": zeroed,
}
"""Functions that are several calls → what yields them."""
