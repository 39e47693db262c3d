"""Operator → how MindSpore spells it: a Cell, or an expression in the code.

MindSpore's defaults differ from PyTorch's. A value is left out where MindSpore's is the operator's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mindspore import Tensor, nn, ops

from backends.mindspore import layers
from backends.mindspore.token_operators import TOKENS
from zoo.arch import Operator, operators
from zoo.blocks import Argument, Idioms, Inline, Layer, Name
from zoo.blocks.idioms import Entry, numbers, one, padded, sliced, window


def _conv(op: operators.Conv2d, shape: Any) -> Layer:
    if op.padding == "SAME_UPPER":
        where: tuple[Argument, ...] = (Argument("pad_mode", "same", "pad_mode", "same"),)
    else:
        assert not isinstance(op.padding, str)
        top, left, bottom, right = op.padding
        where = (
            Argument("pad_mode", "pad", "pad_mode", "same"),
            Argument("padding", one((top, bottom, left, right)), "padding", 0),
        )
    return Layer(
        "nn.Conv2d",
        (
            Argument("in_channels", op.in_channels),
            Argument("out_channels", op.out_channels),
            Argument("kernel_size", one(op.kernel_size)),
            Argument("stride", one(op.stride), "stride", 1),
            *where,
            Argument("dilation", one(op.dilation), "dilation", 1),
            Argument("groups", op.groups, "group", 1),
            Argument("bias", op.bias, "has_bias", False),
        ),
    )


def _padded(op: operators.Pad2d, shape: Any) -> Layer:
    layer = padded(op, shape)
    return replace(layer, name="CropAndPad2d") if min(op.sides) < 0 else layer


def _max_pool(op: operators.MaxPool2d, shape: Any) -> Layer:
    if op.padding == "SAME_UPPER":
        mode = Argument("pad_mode", "same", "pad_mode", "valid")
        return Layer("nn.MaxPool2d", (*window(op), mode))
    return _symmetric("MaxPool2d", op)


def _avg_pool(op: operators.AvgPool2d, shape: Any) -> Layer:
    if op.padding == "SAME_UPPER":
        mode = Argument("pad_mode", "same", "pad_mode", "valid")
        return Layer("nn.AvgPool2d", (*window(op), mode))
    if op.ceil_mode or (not op.count_include_pad and any(op.padding)):
        where = (
            Argument("pad_mode", "pad", "pad_mode", "valid"),
            Argument("padding", one(operators.symmetric(op.padding) or ()), "padding", 0),
            Argument("ceil_mode", op.ceil_mode, "ceil_mode", False),
            Argument("count_include_pad", op.count_include_pad, "count_include_pad", True),
        )
        return Layer("nn.AvgPool2d", (*window(op), *where))
    return _symmetric("AvgPool2d", op)


def _symmetric(kind: str, op: operators.Pool) -> Layer:
    padding = one(operators.symmetric(op.padding) or ())
    ceil = Argument("ceil_mode", op.ceil_mode, "ceil_mode", False)
    if padding == 0 and not op.ceil_mode:
        return Layer(f"nn.{kind}", window(op))
    which = Argument("kind", Name(f"nn.{kind}"))
    return Layer("SymmetricPool2d", (which, *window(op), Argument("padding", padding), ceil))


def _batch_norm(op: operators.BatchNorm2d, shape: Any) -> Layer:
    return Layer(
        "nn.BatchNorm2d",
        (
            Argument("num_features", op.num_features),
            Argument("eps", op.eps, "eps", 1e-5),
            Argument("momentum", 1 - op.momentum, "momentum", 0.9),
        ),
    )


def _linear(op: operators.Linear, shape: Any) -> Layer:
    return Layer(
        "nn.Dense",
        (
            Argument("in_features", op.in_features),
            Argument("out_features", op.out_features),
            Argument("bias", op.bias, "has_bias", True),
        ),
    )


def _shuffle(op: operators.ChannelShuffle, shape: Any) -> Layer:
    rows = Argument("groups", op.rows(shape[1]))
    return Layer("ChannelShuffle", (Argument("channels", shape[1]), rows))


def _dropout(op: operators.Dropout, shape: Any) -> Layer:
    if op.of == "value":
        return Layer("nn.Dropout", (Argument("p", op.p, "p"),))
    together = "ChannelDropout" if op.of == "channel" else "StochasticDepth"
    return Layer(together, (Argument("p", op.p),))


KEEPS = {"mean": "keep_dims", "sum": "keepdim", "amax": "keepdims"}
"""What MindSpore's reductions call it."""


def _upsample(op: operators.Upsample, shape: Any) -> Layer:
    return Layer(
        "Upsample",
        (
            Argument("size", op.size, "size", None),
            Argument("scale_factor", op.scale_factor, "scale_factor", None),
            Argument("mode", op.mode, "mode", "nearest"),
            Argument("align_corners", op.align_corners, "align_corners", False),
        ),
    )


def _conv_transpose(op: operators.ConvTranspose2d, shape: Any) -> Layer:
    # What MindSpore adds for its output_padding is at the top and left: less is cut off instead.
    (p, q), (less, fewer) = op.padding, op.output_padding
    return Layer(
        "nn.Conv2dTranspose",
        (
            Argument("in_channels", op.in_channels),
            Argument("out_channels", op.out_channels),
            Argument("kernel_size", one(op.kernel_size)),
            Argument("stride", one(op.stride), "stride", 1),
            Argument("pad_mode", "pad", "pad_mode", "same"),
            Argument("padding", (p, p - less, q, q - fewer), "padding", 0),
            Argument("dilation", one(op.dilation), "dilation", 1),
            Argument("groups", op.groups, "group", 1),
            Argument("bias", op.bias, "has_bias", False),
        ),
    )


OPERATORS: dict[type[Operator], Entry] = {
    operators.Conv2d: _conv,
    operators.MaxPool2d: _max_pool,
    operators.AvgPool2d: _avg_pool,
    operators.BatchNorm2d: _batch_norm,
    operators.ReLU: lambda op, shape: Layer("nn.ReLU"),
    operators.ReLU6: lambda op, shape: Layer("nn.ReLU6"),
    operators.HardSwish: lambda op, shape: Layer("nn.HSwish"),
    operators.HardSigmoid: lambda op, shape: Layer("nn.HSigmoid"),
    operators.SiLU: lambda op, shape: Layer("nn.SiLU"),
    operators.Sigmoid: lambda op, shape: Layer("nn.Sigmoid"),
    operators.GELU: lambda op, shape: Layer(
        "nn.GELU", (Argument("approximate", op.approximate == "tanh", "approximate", True),)
    ),
    operators.LeakyReLU: lambda op, shape: Layer(
        "nn.LeakyReLU", (Argument("negative_slope", op.negative_slope),)
    ),
    operators.PReLU: lambda op, shape: Layer(
        "nn.PReLU", (Argument("num_parameters", op.num_parameters),)
    ),
    operators.ELU: lambda op, shape: Layer("ELU", (Argument("alpha", op.alpha),)),
    operators.Tanh: lambda op, shape: Layer("Tanh"),
    operators.Exp: lambda op, shape: Layer("Exp"),
    operators.Pow: lambda op, shape: Inline("{0} ** {exponent}", numbers(op), atom=False),
    operators.Mish: lambda op, shape: Layer("Mish"),
    operators.Clamp: lambda op, shape: Inline("ops.clamp({0}, {min_val}, {max_val})", numbers(op)),
    operators.AddScalar: lambda op, shape: Inline("{0} + {value}", numbers(op), atom=False),
    operators.MulScalar: lambda op, shape: Inline("{0} * {value}", numbers(op), atom=False),
    operators.Reduce: lambda op, shape: Inline(
        f"ops.{op.kind}({{0}}, {op.dim}, {KEEPS[op.kind]}={op.keepdim})"
    ),
    operators.Pad2d: _padded,
    operators.Upsample: _upsample,
    operators.ConvTranspose2d: _conv_transpose,
    operators.Dropout: _dropout,
    operators.AdaptiveAvgPool2d: lambda op, shape: Layer(
        "nn.AdaptiveAvgPool2d", (Argument("output_size", op.output_size),)
    ),
    operators.GlobalAvgPool2d: lambda op, shape: Layer("GlobalAvgPool2d"),
    operators.ChannelShuffle: _shuffle,
    operators.ChannelPermute: lambda op, shape: Layer("Gather", (Argument("indices", op.indices),)),
    operators.Linear: _linear,
    operators.Slice: sliced,
    operators.Concat: lambda op, shape: Inline("ops.cat(({all}), 1)"),
    operators.Add: lambda op, shape: Inline("{0} + {1}", atom=False),
    operators.Mul: lambda op, shape: Inline("{0} * {1}", atom=False),
    operators.Flatten: lambda op, shape: Inline("ops.flatten({0})"),
    **TOKENS,
}
"""Operator → its spelling, for the shape of its first input."""

CHECK = """
if __name__ == "__main__":
    model = {root}().set_train(False)
    count = sum(p.size for p in model.trainable_params())
    outputs = model(ops.zeros({shape}))
    several = outputs if isinstance(outputs, tuple) else [outputs]
    shapes = [output.shape for output in several]
    if count != {count} or shapes != {outputs}:
        raise SystemExit(f"{{count:,}} parameters, outputs {{shapes}}: not the network")
    print(f"{root}: {{count:,}} parameters, outputs {{shapes}}")
"""

IDIOMS = Idioms(
    operators=OPERATORS,
    imports={
        "Any": "from typing import Any",
        "ms": "import mindspore as ms",
        "np": "import numpy as np",
        "Tensor": "from mindspore import Tensor, nn, ops",
    },
    helpers=layers,
    module="nn.Cell",
    forward="construct",
    tensor="Tensor",
    numbered="nn.SequentialCell",
    # A SequentialCell goes on with the children that it was made of when one is replaced by name.
    named=None,
    listed="nn.CellList",
    chunk="ops.chunk({0}, {count}, 1)",
    placeholder="nn.Identity",
    check=CHECK,
)
"""How MindSpore writes Cells."""


class Expression(nn.Cell):
    """An operator without state as a Cell of its own, for PyNative mode."""

    def __init__(self, entry: Inline) -> None:
        super().__init__()
        self.entry = entry

    def construct(self, *inputs: Tensor) -> Tensor:
        return self.entry.value(inputs, {"ops": ops})


def layer(op: Any, shape: tuple[int, ...]) -> nn.Cell:
    """Return the live Cell of one operator for the shape of its first input."""
    entry = OPERATORS[type(op)](op, shape)
    if isinstance(entry, Inline):
        return Expression(entry)
    return entry.made(_class) if isinstance(entry, Layer) else entry


def _class(name: str) -> Any:
    return getattr(nn if name.startswith("nn.") else layers, name.removeprefix("nn."))
