"""What the functions of ATen are called in a program, and which of their arguments matter."""

from __future__ import annotations

import operator
import sys

import torch

from backends.torch import adopt_functions, adopt_maps, adopt_tokens
from backends.torch.adopt_call import Options, Read, UnknownError, pair, renamed, same, value_of


def _conv(values: Options) -> tuple[str, Options]:
    padding = values["padding"]
    return "conv2d", {
        **{name: pair(values[name]) for name in ("stride", "dilation")},
        "padding": padding if isinstance(padding, str) else pair(padding),
        "groups": values["groups"],
    }


def _pool(values: Options) -> tuple[str, Options]:
    found = {name: pair(values[name]) for name in ("kernel_size", "padding")}
    found["stride"] = pair(values["stride"]) if values["stride"] else found["kernel_size"]
    if "dilation" in values:
        return "max_pool2d", found | {
            "dilation": pair(values["dilation"]), "ceil_mode": values["ceil_mode"],
        }  # fmt: skip
    rest = ("ceil_mode", "count_include_pad", "divisor_override")
    return "avg_pool2d", found | {name: values[name] for name in rest}


def _in_a_row(read: Read, *names: str) -> Read:
    """Read what works on rows as what works on maps of one row."""

    def row(values: Options) -> tuple[str, Options]:
        found = {name: list(values[name]) for name in names}
        still = {"padding": 0}
        kind, options = read({**values, **{
            name: [still.get(name, 1), *value] if value else value for name, value in found.items()
        }})  # fmt: skip
        return kind.replace("2d", "1d"), options

    return row


END = sys.maxsize
"""Where a slice ends that says nothing of it."""


def _slice(values: Options) -> tuple[str, Options]:
    size = value_of(values["self"]).shape[values["dim"]]
    start, end = values["start"] or 0, values["end"]
    if isinstance(size, torch.SymInt):
        if not values["start"] and (values["end"] or END) == END and values["step"] == 1:
            return "identity", {}  # the first index of x[:, n:]
        raise UnknownError("slice: of the images")
    end = size if end is None else min(end, size)
    start, end = (n + size if n < 0 else n for n in (start, end))
    return "slice", {"dim": values["dim"], "start": start, "end": end, "step": values["step"]}


def _dims(values: Options) -> tuple[str, Options]:
    return "transpose", {"dims": (values["dim0"], values["dim1"])}


READ: dict[str, Read] = (
    adopt_functions.READ
    | adopt_maps.READ
    | adopt_tokens.READ
    | {
        "adaptive_avg_pool2d": renamed("adaptive_avg_pool2d", output_size=pair),
        "alias": renamed("identity"),
        "avg_pool1d": _in_a_row(
            lambda values: _pool({"divisor_override": None, **values}),
            "kernel_size",
            "stride",
            "padding",
        ),
        "avg_pool2d": _pool,
        "batch_norm": renamed("batch_norm", eps=same, momentum=same),
        "cat": renamed("cat", dim=same),
        "clone": renamed("identity"),
        "contiguous": renamed("identity"),
        "conv1d": _in_a_row(_conv, "stride", "padding", "dilation"),
        "conv2d": _conv,
        "detach": renamed("identity"),
        "dropout": renamed("dropout", p=same),
        "feature_dropout": renamed("feature_dropout", p=same),
        "flatten": renamed("flatten"),
        "linear": renamed("linear"),
        "max_pool2d": _pool,
        "reshape": renamed("reshape"),
        "reshape_as": renamed("reshape"),
        "to": renamed("identity"),
        "type_as": renamed("identity"),
        "view_as": renamed("reshape"),
        "slice": _slice,
        "stochastic_depth": renamed("stochastic_depth", p=same),
        "transpose": _dims,
        "view": renamed("reshape"),
    }
)
"""ATen's function → the program's, and its options."""

SIZES = (torch.ops.aten.sym_size.int, operator.mul, operator.floordiv)
"""Arithmetic of sizes, which the shapes of the results tell."""
