"""Operator → how PyTorch spells it: a layer, or an expression in the code."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from backends.torch import layers
from backends.torch.token_operators import TOKENS
from zoo.arch import Operator, operators
from zoo.blocks import Argument, Idioms, Inline, Layer
from zoo.blocks.idioms import Entry, numbers, one, padded, sliced, window


def _conv(op: operators.Conv2d, shape: Any) -> Layer:
    padding = operators.symmetric(op.padding)
    name = "SidedConv2d" if padding is None else "nn.Conv2d"
    sides: Any = op.padding if padding is None else one(padding)
    where: tuple[Argument, ...] = (
        Argument("padding", sides, "padding", (0, 0, 0, 0) if padding is None else 0),
    )
    if op.padding == "SAME_UPPER":
        name, where = "SameUpperConv2d", ()
    return Layer(
        name,
        (
            Argument("in_channels", op.in_channels),
            Argument("out_channels", op.out_channels),
            Argument("kernel_size", one(op.kernel_size)),
            Argument("stride", one(op.stride), "stride", 1),
            *where,
            Argument("dilation", one(op.dilation), "dilation", 1),
            Argument("groups", op.groups, "groups", 1),
            Argument("bias", op.bias, "bias", True),
        ),
    )


def _max_pool(op: operators.MaxPool2d, shape: Any) -> Layer:
    padding = operators.symmetric(op.padding)
    if padding is None:
        return Layer("SameUpperMaxPool2d", window(op))
    where = Argument("padding", one(padding), "padding", 0)
    return Layer("nn.MaxPool2d", (*window(op), where, _ceil(op)))


def _ceil(op: operators.Pool) -> Argument:
    return Argument("ceil_mode", op.ceil_mode, "ceil_mode", False)


def _avg_pool(op: operators.AvgPool2d, shape: Any) -> Layer:
    padding = operators.symmetric(op.padding)
    if padding is None:
        return Layer("SameUpperAvgPool2d", window(op))
    counts = Argument("count_include_pad", op.count_include_pad, "count_include_pad", True)
    where = Argument("padding", one(padding), "padding", 0)
    return Layer("nn.AvgPool2d", (*window(op), where, _ceil(op), counts))


def _batch_norm(op: operators.BatchNorm2d, shape: Any) -> Layer:
    return Layer(
        "nn.BatchNorm2d",
        (
            Argument("num_features", op.num_features),
            Argument("eps", op.eps, "eps", 1e-5),
            Argument("momentum", op.momentum, "momentum", 0.1),
        ),
    )


def _linear(op: operators.Linear, shape: Any) -> Layer:
    return Layer(
        "nn.Linear",
        (
            Argument("in_features", op.in_features),
            Argument("out_features", op.out_features),
            Argument("bias", op.bias, "bias", True),
        ),
    )


def _upsample(op: operators.Upsample, shape: Any) -> Layer:
    name, value = ("size", op.size) if op.size else ("scale_factor", op.scale_factor)
    aligned = Argument("align_corners", op.align_corners or None, "align_corners", None)
    mode = Argument("mode", op.mode, "mode", "nearest")
    return Layer("nn.Upsample", (Argument(name, one(value or ()), name), mode, aligned))


def _conv_transpose(op: operators.ConvTranspose2d, shape: Any) -> Layer:
    return Layer(
        "nn.ConvTranspose2d",
        (
            Argument("in_channels", op.in_channels),
            Argument("out_channels", op.out_channels),
            Argument("kernel_size", one(op.kernel_size)),
            Argument("stride", one(op.stride), "stride", 1),
            Argument("padding", one(op.padding), "padding", 0),
            Argument("output_padding", one(op.output_padding), "output_padding", 0),
            Argument("groups", op.groups, "groups", 1),
            Argument("bias", op.bias, "bias", True),
            Argument("dilation", one(op.dilation), "dilation", 1),
        ),
    )


DROPOUTS = {"value": "nn.Dropout", "channel": "nn.Dropout2d", "image": "StochasticDepth"}
"""What drops which values together."""

OPERATORS: dict[type[Operator], Entry] = {
    operators.Conv2d: _conv,
    operators.MaxPool2d: _max_pool,
    operators.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: _batch_norm,
    operators.ReLU: lambda op, shape: Layer("nn.ReLU", in_place="inplace"),
    operators.ReLU6: lambda op, shape: Layer("nn.ReLU6"),
    operators.HardSwish: lambda op, shape: Layer("nn.Hardswish"),
    operators.HardSigmoid: lambda op, shape: Layer("nn.Hardsigmoid"),
    operators.SiLU: lambda op, shape: Layer("nn.SiLU"),
    operators.Sigmoid: lambda op, shape: Layer("nn.Sigmoid"),
    operators.GELU: lambda op, shape: Layer(
        "nn.GELU", (Argument("approximate", op.approximate, "approximate", "none"),)
    ),
    operators.LeakyReLU: lambda op, shape: Layer(
        "nn.LeakyReLU", (Argument("negative_slope", op.negative_slope),)
    ),
    operators.PReLU: lambda op, shape: Layer(
        "nn.PReLU", (Argument("num_parameters", op.num_parameters),)
    ),
    operators.ELU: lambda op, shape: Layer("nn.ELU", (Argument("alpha", op.alpha),)),
    operators.Tanh: lambda op, shape: Layer("nn.Tanh"),
    operators.Exp: lambda op, shape: Inline("torch.exp({0})"),
    operators.Pow: lambda op, shape: Inline("{0} ** {exponent}", numbers(op), atom=False),
    operators.Mish: lambda op, shape: Layer("nn.Mish"),
    operators.Clamp: lambda op, shape: Inline("{0}.clamp({min_val}, {max_val})", numbers(op)),
    operators.AddScalar: lambda op, shape: Inline("{0} + {value}", numbers(op), atom=False),
    operators.MulScalar: lambda op, shape: Inline("{0} * {value}", numbers(op), atom=False),
    operators.Reduce: lambda op, shape: Inline(f"{{0}}.{op.kind}({op.dim}, keepdim={op.keepdim})"),
    operators.Pad2d: padded,
    operators.Upsample: _upsample,
    operators.ConvTranspose2d: _conv_transpose,
    operators.Dropout: lambda op, shape: Layer(DROPOUTS[op.of], (Argument("p", op.p),)),
    operators.AdaptiveAvgPool2d: lambda op, shape: Layer(
        "nn.AdaptiveAvgPool2d", (Argument("output_size", one(op.output_size)),)
    ),
    operators.GlobalAvgPool2d: lambda op, shape: Layer(
        "nn.AdaptiveAvgPool2d", (Argument("output_size", 1),)
    ),
    # PyTorch's layer views the channels as (groups, C / groups): with C / groups for its groups it
    # is the other order, so one native kernel serves both.
    operators.ChannelShuffle: lambda op, shape: Layer(
        "ChannelShuffle", (Argument("groups", op.rows(shape[1])),)
    ),
    operators.ChannelPermute: lambda op, shape: Layer(
        "ChannelPermute", (Argument("indices", op.indices),)
    ),
    operators.Linear: _linear,
    operators.Slice: sliced,
    operators.Concat: lambda op, shape: Inline("torch.cat(({all}), 1)"),
    operators.Add: lambda op, shape: Inline("{0} + {1}", in_place="{1} += {0}", atom=False),
    operators.Mul: lambda op, shape: Inline("{0} * {1}", atom=False),
    operators.Flatten: lambda op, shape: Inline("torch.flatten({0}, 1)"),
    **TOKENS,
}
"""Operator → its spelling, for the shape of its first input."""

CHECK = """
if __name__ == "__main__":
    model = {root}().eval()
    count = sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        outputs = model(torch.zeros{shape})
    several = outputs if isinstance(outputs, tuple) else [outputs]
    shapes = [tuple(output.shape) for output in several]
    if count != {count} or shapes != {outputs}:
        raise SystemExit(f"{{count:,}} parameters, outputs {{shapes}}: not the network")
    print(f"{root}: {{count:,}} parameters, outputs {{shapes}}")
"""

IDIOMS = Idioms(
    operators=OPERATORS,
    imports={
        "OrderedDict": "from collections import OrderedDict",
        "torch": "import torch",
        "nn": "from torch import nn",
        "F": "from torch.nn import functional as F",
    },
    helpers=layers,
    module="nn.Module",
    forward="forward",
    tensor="torch.Tensor",
    numbered="nn.Sequential",
    named="nn.Sequential",
    listed="nn.ModuleList",
    chunk="{0}.chunk({count}, 1)",
    placeholder="nn.Identity",
    check=CHECK,
)
"""How PyTorch writes modules."""


class Expression(nn.Module):
    """An operator without state as a module of its own."""

    def __init__(self, entry: Inline) -> None:
        super().__init__()
        self.entry = entry

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.entry.value(inputs, {"torch": torch, "F": F})


def layer(op: Any, shape: tuple[int, ...]) -> nn.Module:
    """Return the live layer of one operator for the shape of its first input."""
    entry = OPERATORS[type(op)](op, shape)
    if isinstance(entry, Inline):
        return Expression(entry)
    return entry.made(_class) if isinstance(entry, Layer) else entry


def _class(name: str) -> Any:
    return getattr(nn if name.startswith("nn.") else layers, name.removeprefix("nn."))
