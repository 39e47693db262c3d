"""The functions of ATen that networks of tokens call."""

from __future__ import annotations

from typing import Any

import torch

from backends.torch.adopt_call import Options, Read, UnknownError, renamed, same


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _layer_norm(values: Options) -> tuple[str, Options]:
    return "layer_norm", {
        "normalized_shape": tuple(values["normalized_shape"]),
        "eps": values["eps"],
    }


def _indices(values: Options) -> tuple[str, Options]:
    """Read ``x[..., indices, ...]`` of constant whole numbers along one axis."""
    found = [(i, index) for i, index in enumerate(values["indices"]) if index is not None]
    if len(found) != 1:
        raise UnknownError("index: along several axes at once")
    ((dim, index),) = found
    return "index", {"dim": dim, "indices": _numbers_of("index", index)}


def constant(kind: str, index: Any) -> torch.Tensor:
    """Return indices.

    Raises:
        UnknownError: they are no whole numbers, or not known.
    """
    if not isinstance(index, torch.Tensor) or index.dtype not in (torch.int64, torch.int32):
        raise UnknownError(f"{kind}: its indices must be constant whole numbers")
    return index


def _numbers_of(kind: str, index: Any) -> tuple[int, ...]:
    return tuple(constant(kind, index).reshape(-1).tolist())


def _index_select(values: Options) -> tuple[str, Options]:
    return "index", {"dim": values["dim"], "indices": _numbers_of("index_select", values["index"])}


def _each_repeated(values: Options) -> tuple[str, Options]:
    if not isinstance(values["repeats"], int) or values["dim"] is None:
        raise UnknownError("repeat_interleave: repeats must be a number, along an axis")
    return "repeat_interleave", {"repeats": values["repeats"], "dim": values["dim"]}


READ: dict[str, Read] = {
    "bmm": renamed("matmul"),
    "expand": renamed("expand"),
    "expand_as": renamed("expand"),
    "group_norm": renamed("group_norm", num_groups=same, eps=same),
    "index": _indices,
    "index_select": _index_select,
    "layer_norm": _layer_norm,
    "linalg_vector_norm": renamed("vector_norm", ord=same, dim=same, keepdim=same),
    "matmul": renamed("matmul"),
    "permute": renamed("permute", dims=tuple),
    "repeat": renamed("repeat"),
    "repeat_interleave": _each_repeated,
    "roll": renamed("roll", shifts=_numbers, dims=_numbers),
    "scaled_dot_product_attention": renamed(
        "scaled_dot_product_attention",
        dropout_p=same, is_causal=same, scale=same, enable_gqa=same,
    ),
    "select": renamed("select", dim=same, index=same),
    "softmax": renamed("softmax", dim=same, dtype=same),
    "squeeze": renamed("reshape"),
    "stack": renamed("stack", dim=same),
    "swapaxes": lambda values: ("transpose", {"dims": (values["axis0"], values["axis1"])}),
    "tile": renamed("repeat"),
    "unfold": renamed("unfold", dimension=same, size=same, step=same),
    "unflatten": renamed("reshape"),
    "unsqueeze": renamed("reshape"),
}  # fmt: skip
"""ATen's function → the program's, and its options."""
