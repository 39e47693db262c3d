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
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mish,
    Mul,
    MulScalar,
    Pad2d,
    PReLU,
    Reduce,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Slice,
    Tanh,
    Upsample,
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
    if isinstance(op, Linear):
        nodes += [
            Node("to_linear.pool", GlobalAvgPool2d(), ("stem.bn",)),
            Node("to_linear.flatten", Flatten(), ("to_linear.pool",)),
        ]
    inputs = ("stem.bn", "other.sigmoid")[: op.arity or 2]
    nodes.append(Node("tested", op, ("to_linear.flatten",) if isinstance(op, Linear) else inputs))
    shape = Graph(3, size, tuple(nodes), ("tested",)).shapes()["tested"]
    if len(shape) > 2:
        nodes.append(Node("head.flatten", Flatten(), ("tested",)))
    features = int(np.prod(shape[1:]))
    head = Linear(in_features=features, out_features=4, bias=True)
    nodes.append(Node("head.linear", head, (nodes[-1].name,)))
    return Graph(3, size, tuple(nodes), ("head.linear",))


def arrays_for(graph: Graph) -> weights.Weights:
    """Draw weights for such a network, under which an activation sees values of every region."""
    arrays = weights.randomize(graph)
    if graph.by_name["tested"].op.kinks:
        for role in ("weight", "bias"):
            arrays[f"stem.bn.{role}"] *= np.float32(3)
    return arrays
