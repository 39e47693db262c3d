"""A small network with every operator, in every setting, in an order in which each shows.

No published network has them all: max pools stand before any ReLU, so that a padding of zeros
shows; average pools count their padding or not; a flatten finds more than one pixel.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from zoo.arch import Graph, Operator
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import (
    ELU,
    GELU,
    AddScalar,
    AvgPool2d,
    BatchNorm2d,
    ChannelPermute,
    Clamp,
    ConcatAlong,
    Conv2d,
    ConvTranspose2d,
    Exp,
    Expand,
    GroupNorm,
    Index,
    LayerNorm,
    LeakyReLU,
    MatMul,
    MaxPool2d,
    Mish,
    MulScalar,
    Narrow,
    Normalize,
    Pad2d,
    Padding,
    Permute,
    Pow,
    PReLU,
    Reduce,
    ReLU6,
    Roll,
    Softmax,
    Tanh,
    Upsample,
)
from zoo.proof.mutants.windows import NONE


def workbench(*, dropout: float = 0.2) -> Graph:
    """Return the network: (N, 3, 24, 24) -> (N, 10)."""
    g = GraphBuilder(3, 24, eps=1e-3, momentum=0.3)
    with g.scope("stem"):
        x = _conv(g, g.input, 12, stride=2, padding="SAME_UPPER", bias=True)
        x = g.batch_norm(x)
    with g.scope("pools"):
        x = g.concat(_pools(g, x))
    with g.scope("mixed"):
        x = g.channel_shuffle(x, 3, "gn")
        order = [(5 * i + 3) % g.channels(x) for i in range(g.channels(x))]
        x = g.add_node("permute", lambda: ChannelPermute(indices=tuple(order)), x)
        x = g.relu(_norm(g, g.conv(x, 16, groups=4, bias=True)))
        x = g.batch_norm(g.conv(x, 16, name="next"), "next_bn")
        x = g.add_node("relu6", ReLU6, x)
    with g.scope("unit"):
        x = _unit(g, x)
    with g.scope("functions"):
        x = g.concat(_functions(g, x))
    with g.scope("maps"):
        x = _maps(g, x)
    with g.scope("excite"):
        x = g.squeeze_excite(x, 8, gate=g.hard_sigmoid)
    with g.scope("spatial"):
        gate = g.sigmoid(_conv(g, x, g.channels(x), padding=(1, 0, 1, 2), bias=True))
        x = g.mul(x, gate)
        x = g.max_pool(x, kernel_size=3, stride=1, padding="SAME_UPPER", name="max")
        x = g.avg_pool(x, kernel_size=3, stride=1, padding=(1, 1, 1, 1), name="avg")
        x = g.adaptive_avg_pool(x, (5, 4), name="adaptive")
    with g.scope("tokens"):
        x = _tokens(g, x)
    with g.scope("head"):
        x = g.hard_swish(g.batch_norm(g.conv(x, 20)))
        x = g.silu(g.batch_norm(g.conv(x, 20, name="second"), "second_bn"))
        x = g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0))
        y = g.global_avg_pool(x, "mean")
        x = g.mul(x, g.sigmoid(g.conv(y, 20, bias=True, name="gate"), name="gated"), name="weighed")
        x = g.flatten(x)
        x = g.dropout(x, dropout)
        x = g.linear(x, 24, bias=False, name="hidden")
        x = g.linear(x, 24, bias=True, name="square")
    return g.build(g.linear(x, 10, bias=True, name="classifier"))


def _conv(
    g: GraphBuilder,
    x: str,
    channels: int,
    *,
    padding: Padding,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
    name: str = "conv",
) -> str:
    def make() -> Operator:
        return Conv2d(
            in_channels=g.channels(x),
            out_channels=channels,
            kernel_size=(3, 3),
            stride=(stride, stride),
            padding=padding,
            dilation=(dilation, dilation),
            groups=groups,
            bias=bias,
        )

    return g.add_node(name, make, x)


def _norm(g: GraphBuilder, x: str, name: str = "bn") -> str:
    """Add a batch norm with the other published eps and momentum."""
    features = g.channels(x)
    return g.add_node(name, lambda: BatchNorm2d(num_features=features, eps=1e-5, momentum=0.1), x)


def _pools(g: GraphBuilder, x: str) -> list[str]:
    """Add pools of every setting, and convolutions that make the map as small: 12×12 -> 6×6."""
    window: dict[str, Any] = {"kernel_size": (3, 3), "stride": (2, 2)}
    settings: dict[str, Operator] = {
        "max": MaxPool2d(padding=(1, 1, 1, 1), **window),
        "max_same": MaxPool2d(padding="SAME_UPPER", **window),
        "avg": AvgPool2d(padding=(1, 1, 1, 1), count_include_pad=True, **window),
        "avg_uncounted": AvgPool2d(padding=(1, 1, 1, 1), count_include_pad=False, **window),
        "avg_same": AvgPool2d(padding="SAME_UPPER", count_include_pad=False, **window),
        "max_ceil": MaxPool2d(padding=NONE, ceil_mode=True, **window),
        "avg_ceil": AvgPool2d(padding=NONE, ceil_mode=True, count_include_pad=False, **window),
    }
    found = [g.add_node(name, partial(_given, op), x) for name, op in settings.items()]
    conv = _conv(g, x, 12, stride=2, padding=(2, 2, 2, 2), dilation=2, name="dilated")
    found.append(_norm(g, conv, "dilated_bn"))
    conv = _conv(g, x, 12, stride=2, padding=(1, 1, 1, 1), groups=12, name="depthwise")
    found.append(_norm(g, conv, "depthwise_bn"))
    return found


def _functions(g: GraphBuilder, x: str) -> list[str]:
    """Add functions beside each other."""
    settings: dict[str, Operator] = {
        "gelu": GELU(approximate="none"),
        "gelu_tanh": GELU(approximate="tanh"),
        "leaky_relu": LeakyReLU(negative_slope=0.2),
        "prelu": PReLU(num_parameters=4),
        "elu": ELU(alpha=0.7),
        "tanh": Tanh(),
        "mish": Mish(),
        "clamp": Clamp(min_val=-1.0, max_val=1.5),
        "add": AddScalar(value=0.5),
        "mul": MulScalar(value=-0.7),
    }
    found = _behind_norms(g, x, settings, 4)
    # Of few values that are large: what adds them up would round as no other layer does.
    small = g.apply(Tanh(), g.batch_norm(g.conv(x, 4, name="exp_conv"), "exp_bn"), name="exp_of")
    raised = g.apply(Exp(), small, name="exp")
    return [*found, raised, g.apply(Pow(exponent=-0.5), raised, name="pow")]


def _behind_norms(
    g: GraphBuilder, x: str, settings: dict[str, Operator], channels: int
) -> list[str]:
    """Add operators beside each other, each behind a convolution with batch norm."""
    found = []
    for name, op in settings.items():
        y = g.conv(x, channels, name=f"{name}_conv")
        found.append(g.apply(op, g.batch_norm(y, f"{name}_bn"), name=name))
    return found


def _maps(g: GraphBuilder, x: str) -> str:
    """Add maps of twice the size beside each other, and what is left of them along axes."""
    same: dict[str, Any] = {"size": None, "scale_factor": None, "align_corners": False}
    transposed: dict[str, Any] = {"in_channels": 8, "out_channels": 8, "kernel_size": (3, 3)}
    settings: dict[str, Operator] = {
        "nearest": Upsample(**same | {"scale_factor": (2, 2)}, mode="nearest"),
        "bilinear": Upsample(**same | {"size": (12, 12)}, mode="bilinear"),
        "aligned": Upsample(
            **same | {"scale_factor": (2, 2), "align_corners": True}, mode="bilinear"
        ),
        "constant": Pad2d(sides=(4, 3, 2, 3), mode="constant", value=0.5),
        "reflect": Pad2d(sides=(4, 3, 2, 3), mode="reflect"),
        "replicate": Pad2d(sides=(1, 5, 5, 1), mode="replicate"),
        "transposed": ConvTranspose2d(
            **transposed, stride=(2, 2), padding=(1, 1), output_padding=(1, 1), dilation=(1, 1),
            groups=1, bias=True,
        ),
        "dilated": ConvTranspose2d(
            **transposed, stride=(2, 2), padding=(2, 2), output_padding=(1, 1), dilation=(2, 2),
            groups=2, bias=False,
        ),
    }  # fmt: skip
    found = _behind_norms(g, x, settings, 8)
    x = g.relu(g.batch_norm(g.conv(g.concat(found), 16, stride=2, name="joined"), "joined_bn"))
    kinds: tuple[Literal["mean", "sum", "amax"], ...] = ("mean", "sum", "amax")
    reductions: dict[str, Operator] = {k: Reduce(kind=k, dim=(1,), keepdim=True) for k in kinds}
    along = _behind_norms(g, x, reductions, 4)
    gate = g.apply(Reduce(kind="amax", dim=(2, 3), keepdim=True), x, name="largest")
    x = g.concat([x, *along], "reduced")
    gate = g.conv(gate, g.channels(x), bias=True, name="gate")
    return g.mul(x, g.sigmoid(gate, "weight"))


def _tokens(g: GraphBuilder, x: str) -> str:
    """Add what networks of tokens have: (N, C, 5, 4) -> (N, 20, 5, 4)."""
    add, c = g.apply, g.channels(x)
    x = g.apply(Permute(dims=(0, 2, 3, 1)), x, name="last")
    x = g.reshape(g.apply(LayerNorm(normalized_shape=(c,), eps=1e-3, affine=True), x,
                                 name="first_norm"), 20, c, name="flat")  # fmt: skip
    x = g.linear(x, 16, bias=True, name="embed")
    x = g.add(x, g.weight(20, 16, name="position"), name="placed")
    x = add(Roll(shifts=(3, -1), dims=(1, 2)), x, name="rolled")
    # A value that is the same of all images, beside those of each.
    same = add(Expand(), g.weight(1, 20, 4, name="same"), x, name="expand")
    x = add(ConcatAlong(dim=2), x, same, name="join")
    y = g.layer_norm(x)
    # A bias of the keys changes all scores of a query alike, which no softmax shows.
    qkv = g.linear(y, 60, bias=False, name="qkv")
    parts = []
    for i, name in enumerate("qkv"):
        part = add(Narrow(dim=2, start=20 * i, stop=20 * i + 20, step=1), qkv, name=f"{name}_part")
        part = g.reshape(part, 20, 2, 10, name=f"{name}_heads")
        parts.append(g.permute(part, 0, 2, 1, 3, name=name))
    parts[0] = add(Normalize(dim=3, eps=1.5), parts[0], name="unit")
    bias = add(Index(dim=0, indices=(4, 0, 2, 3, 1, *range(5, 20))),
               g.weight(20, 20, name="table"), name="bias")  # fmt: skip
    mask = g.weight(2, 20, 20, name="mask", trainable=False)
    y = g.attention(*parts, g.add(mask, bias, name="masked"), scale=0.8)
    y = g.reshape(g.permute(y, 0, 2, 1, 3, name="back"), 20, 20, name="joined")
    y = g.linear(y, 20, bias=True, name="out")
    x = g.add(x, y, name="sum")
    turned = g.permute(x, 0, 2, 1, name="turned")
    scores = add(Softmax(dim=2), add(MatMul(), x, turned, name="products"), name="softmax")
    x = g.mul(x, scores, name="weighed")
    x = g.linear(add(ConcatAlong(dim=2), x, scores, name="both"), 20, bias=True, name="mix")
    odd = add(Narrow(dim=2, start=1, stop=20, step=2), x, name="odd")
    even = add(Narrow(dim=2, start=0, stop=19, step=2), x, name="even")
    x = add(ConcatAlong(dim=2), odd, even, name="again")
    x = g.reshape(g.permute(x, 0, 2, 1, name="first"), 20, 5, 4, name="map")
    return add(GroupNorm(num_groups=4, num_channels=20, eps=1e-3), x, name="group_norm")


def _given(op: Operator) -> Operator:
    return op


def _unit(g: GraphBuilder, x: str) -> str:
    """Add a unit: one half goes through a branch, is added to itself, and joins the other half."""
    half = g.channels(x) // 2
    kept, taken = g.slice(x, 0, half, "kept"), g.slice(x, half, 2 * half, "taken")
    y = g.conv_bn(taken, half, kernel_size=3)
    y = g.add(taken, g.hard_swish(y))
    return g.channel_shuffle(g.concat([kept, y]), 2, "ng")
