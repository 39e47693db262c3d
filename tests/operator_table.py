"""The table of operators that tests drive through every backend, and a network around each."""

from __future__ import annotations

import numpy as np

import weights
from zoo.arch import Graph, Node, Operator
from zoo.arch.operators import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    Add,
    AddScalar,
    AvgPool2d,
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Clamp,
    Concat,
    ConcatAlong,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Exp,
    Expand,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Index,
    LayerNorm,
    LeakyReLU,
    Linear,
    MatMul,
    MaxPool2d,
    Mish,
    Mul,
    MulScalar,
    Narrow,
    Normalize,
    Pad2d,
    Permute,
    Pow,
    PReLU,
    Reduce,
    ReLU,
    ReLU6,
    Reshape,
    Roll,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Tanh,
    Upsample,
    Weight,
)

# Even and odd: SAME_UPPER and symmetric padding differ on the former only.
SIZES = [(8, 8), (9, 7)]


def conv(kernel, stride, padding, **more):
    return Conv2d(
        **dict(in_channels=12, out_channels=24) | more,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
    )


def pool(kind, padding, kernel=(3, 3), stride=(2, 2), **more):
    return kind(kernel_size=kernel, stride=stride, padding=padding, **more)


def upsample(mode, size=None, scale_factor=None, align_corners=False):
    return Upsample(mode=mode, size=size, scale_factor=scale_factor, align_corners=align_corners)


def transposed(kernel, stride, padding, output_padding=(0, 0), **more):
    return ConvTranspose2d(
        **dict(in_channels=12, out_channels=6, dilation=(1, 1), groups=1, bias=False) | more,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
    )


MASKED = ScaledDotProductAttention(scale=0.7)
ALONG_LAST = Linear(in_features=12, out_features=7, bias=True)

# name → operator with 12 channels in, applied to (a batch norm of) the input.
TABLE: dict[str, Operator] = {
    "conv 3x3": conv((3, 3), (1, 1), (1, 1, 1, 1)),
    "conv 3x3 stride 2, bias": conv((3, 3), (2, 2), (1, 1, 1, 1), bias=True),
    "conv 1x3 stride 2x1": conv((1, 3), (2, 1), (0, 1, 0, 1)),
    "conv dilated": conv((3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)),
    "conv padding per side": conv((3, 3), (2, 2), (0, 1, 2, 0)),
    "conv SAME_UPPER": conv((3, 3), (2, 2), "SAME_UPPER"),
    "group conv 1x1": conv((1, 1), (1, 1), (0, 0, 0, 0), groups=3),
    "group conv 3x3, bias": conv((3, 3), (2, 2), (1, 1, 1, 1), groups=4, bias=True),
    "depthwise conv": conv((3, 3), (2, 2), (1, 1, 1, 1), groups=12, out_channels=12),
    "depthwise conv, two filters a channel": conv((3, 3), (2, 2), (1, 1, 1, 1), groups=12),
    "max pool": pool(MaxPool2d, (1, 1, 1, 1)),
    "max pool 2x3": pool(MaxPool2d, (0, 1, 0, 1), (2, 3), (2, 1)),
    "max pool SAME_UPPER": pool(MaxPool2d, "SAME_UPPER"),
    "avg pool": pool(AvgPool2d, (1, 1, 1, 1), count_include_pad=True),
    "avg pool without padding": pool(AvgPool2d, (0, 0, 0, 0), count_include_pad=True),
    "avg pool, padding not counted": pool(AvgPool2d, (1, 1, 1, 1), count_include_pad=False),
    "avg pool SAME_UPPER": pool(AvgPool2d, "SAME_UPPER", count_include_pad=False),
    "max pool with ceil_mode": pool(MaxPool2d, (1, 1, 1, 1), (3, 2), (2, 2), ceil_mode=True),
    "avg pool with ceil_mode": pool(
        AvgPool2d, (0, 0, 0, 0), ceil_mode=True, count_include_pad=False
    ),
    "avg pool with ceil_mode, padding counted": pool(
        AvgPool2d, (1, 1, 1, 1), (3, 2), ceil_mode=True, count_include_pad=True
    ),
    "batch norm": BatchNorm2d(num_features=12, eps=1e-3, momentum=0.3),
    "relu": ReLU(),
    "relu6": ReLU6(),
    "hard swish": HardSwish(),
    "hard sigmoid": HardSigmoid(),
    "sigmoid": Sigmoid(),
    "silu": SiLU(),
    "gelu": GELU(approximate="none"),
    "gelu tanh": GELU(approximate="tanh"),
    "leaky relu": LeakyReLU(negative_slope=0.2),
    "prelu": PReLU(num_parameters=12),
    "prelu of one slope": PReLU(num_parameters=1),
    "elu": ELU(alpha=1.0),
    "elu of another alpha": ELU(alpha=0.7),
    "tanh": Tanh(),
    "exp": Exp(),
    "reciprocal": Pow(exponent=-1.0),
    "reciprocal of a root": Pow(exponent=-0.5),
    "mish": Mish(),
    "clamp": Clamp(min_val=-0.75, max_val=1.5),
    "clamp from below": Clamp(min_val=-0.5, max_val=None),
    "clamp from above": Clamp(min_val=None, max_val=-0.25),
    "add scalar": AddScalar(value=-0.7),
    "mul scalar": MulScalar(value=-0.7),
    "mean over the map": Reduce(kind="mean", dim=(2, 3), keepdim=True),
    "mean over channels": Reduce(kind="mean", dim=(1,), keepdim=True),
    "sum over rows": Reduce(kind="sum", dim=(2,), keepdim=False),
    "largest of the map": Reduce(kind="amax", dim=(2, 3), keepdim=True),
    "largest of channels": Reduce(kind="amax", dim=(1,), keepdim=False),
    "pad with a value": Pad2d(sides=(1, 2, 0, 3), mode="constant", value=-0.5),
    "pad and crop": Pad2d(sides=(-1, 1, 2, -2), mode="constant"),
    "pad by reflection": Pad2d(sides=(1, 2, 3, 0), mode="reflect"),
    "pad by replication": Pad2d(sides=(1, 2, 3, 0), mode="replicate"),
    "upsample nearest": upsample("nearest", scale_factor=(2, 3)),
    "upsample nearest to a size": upsample("nearest", size=(16, 14)),
    "upsample bilinear": upsample("bilinear", scale_factor=(2, 2)),
    "upsample bilinear to a size": upsample("bilinear", size=(11, 5)),
    "upsample bilinear, corners aligned": upsample("bilinear", size=(13, 12), align_corners=True),
    "transposed conv": transposed((3, 3), (2, 2), (1, 1), (1, 1), bias=True),
    "transposed group conv, dilated": transposed((2, 3), (2, 1), (1, 0), groups=3, dilation=(2, 2)),
    "dropout": Dropout(p=0.4),
    "dropout of channels": Dropout(p=0.4, of="channel"),
    "stochastic depth": Dropout(p=0.4, of="image"),
    "adaptive avg pool": AdaptiveAvgPool2d(output_size=(3, 5)),
    "adaptive avg pool to a larger map": AdaptiveAvgPool2d(output_size=(11, 8)),
    "global avg pool": GlobalAvgPool2d(),
    "shuffle gn": ChannelShuffle(groups=3, order="gn"),
    "shuffle ng": ChannelShuffle(groups=3, order="ng"),
    "permute": ChannelPermute(indices=(5, 3, 1, 11, 9, 7, 0, 2, 4, 6, 8, 10)),
    "slice": Slice(start=3, stop=8),
    "concat": Concat(),
    "add": Add(),
    "mul": Mul(),
    "flatten": Flatten(),
    "linear": Linear(in_features=12, out_features=5, bias=False),
    "weight": Weight(shape=(1, 12, 1, 1), trainable=True),
    "constant": Weight(shape=(12, 1, 1), trainable=False),
    "expand": Expand(),
    "permute axes": Permute(dims=(0, 2, 3, 1)),
    "reshape": Reshape(shape=(3, 4)),
    "roll": Roll(shifts=(-2, 1), dims=(1, 3)),
    "index": Index(dim=1, indices=(3, 0, 3, 11, 7)),
    "narrow": Narrow(dim=1, start=1, stop=11, step=3),
    "narrow rows": Narrow(dim=2, start=2, stop=6, step=1),
    "concat along rows": ConcatAlong(dim=2),
    "concat along channels": ConcatAlong(dim=1),
    "layer norm": LayerNorm(normalized_shape=(12,), eps=1e-3, affine=True),
    "layer norm without weight": LayerNorm(normalized_shape=(12,), eps=1e-5, affine=False),
    "group norm": GroupNorm(num_groups=4, num_channels=12, eps=1e-3),
    "normalize": Normalize(dim=1, eps=1e-2),
    "softmax": Softmax(dim=1),
    "softmax along rows": Softmax(dim=2),
    "matmul": MatMul(),
    "attention": ScaledDotProductAttention(scale=0.4),
    "attention with a mask": MASKED,
    "linear along the last axis": ALONG_LAST,
    "linear with bias": Linear(in_features=12, out_features=5, bias=True),
}


def network(op: Operator, size: tuple[int, int]) -> Graph:
    """Put an operator between a convolution and a classifier, so that it has a gradient too."""
    nodes = [
        Node("stem.conv", Conv2d(
            in_channels=3, out_channels=12, kernel_size=(3, 3), stride=(1, 1),
            padding=(1, 1, 1, 1), bias=True,
        ), ("input",)),
        Node("stem.bn", BatchNorm2d(num_features=12, eps=1e-5, momentum=0.1), ("stem.conv",)),
        Node("other.sigmoid", Sigmoid(), ("stem.bn",)),
    ]  # fmt: skip
    if isinstance(op, Linear) and op != ALONG_LAST:
        nodes += [
            Node("to_linear.pool", GlobalAvgPool2d(), ("stem.bn",)),
            Node("to_linear.flatten", Flatten(), ("to_linear.pool",)),
        ]
    nodes += before(op)
    nodes.append(Node("tested", op, inputs_of(op, nodes)))
    if op.arity == 0:
        nodes.append(Node("meets", Add() if op.trainable else Mul(), ("stem.bn", "tested")))
    last = nodes[-1].name
    shape = Graph(3, size, tuple(nodes), (last,)).shapes()[last]
    features = int(np.prod(shape))
    if shape[0] > 1:
        nodes.append(Node("head.images", Reshape(shape=(features,)), (last,)))
    elif len(shape) > 2:
        nodes.append(Node("head.flatten", Flatten(), (last,)))
    head = Linear(in_features=features, out_features=4, bias=True)
    nodes.append(Node("head.linear", head, (nodes[-1].name,)))
    return Graph(3, size, tuple(nodes), ("head.linear",))


def before(op: Operator) -> list[Node]:
    """Return what makes the values that an operator takes."""
    if isinstance(op, LayerNorm) or op == ALONG_LAST:
        return [Node("made.last", Permute(dims=(0, 2, 3, 1)), ("stem.bn",))]
    if isinstance(op, Pow):  # of what is positive, and not small
        return [Node("made.positive", AddScalar(value=0.5), ("other.sigmoid",))]
    if isinstance(op, Expand):
        return [Node("made.weight", Weight(shape=(1, 12, 2, 2), trainable=True), ())]
    if isinstance(op, MatMul) or op == MASKED:
        turned = Node("made.turned", Permute(dims=(0, 1, 3, 2)), ("other.sigmoid",))
        mask = Node("made.mask", MatMul(), ("stem.bn", "made.turned"))
        return [turned, mask] if op == MASKED else [turned]
    return []


def inputs_of(op: Operator, nodes: list[Node]) -> tuple[str, ...]:
    """Return the names of the values that an operator takes."""
    last = nodes[-1].name
    if isinstance(op, ScaledDotProductAttention):
        qkv = ("stem.bn", "other.sigmoid", "stem.bn")
        return (*qkv, last) if op == MASKED else qkv
    if isinstance(op, Linear | LayerNorm | Pow):
        return (last,)
    if isinstance(op, Expand):
        return (last, "stem.bn")
    if isinstance(op, MatMul):
        return ("stem.bn", last)
    return ("stem.bn", "other.sigmoid")[: 2 if op.arity is None else op.arity]


def arrays_for(graph: Graph) -> weights.Weights:
    """Draw weights for such a network, under which an activation sees values of every region."""
    arrays = weights.randomize(graph)
    if graph.by_name["tested"].op.kinks:
        for role in ("weight", "bias"):
            arrays[f"stem.bn.{role}"] *= np.float32(3)
    return arrays
