"""The operators: a frozen dataclass each, which states its traits once; a file for each kind."""

from zoo.arch.operators.activations import HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU
from zoo.arch.operators.affine import BatchNorm2d, Linear
from zoo.arch.operators.attention import MatMul, ScaledDotProductAttention, Softmax
from zoo.arch.operators.functions import (
    ELU,
    GELU,
    AddScalar,
    Clamp,
    LeakyReLU,
    Mish,
    MulScalar,
    PReLU,
    Tanh,
)
from zoo.arch.operators.heads import AdaptiveAvgPool2d, Dropout, Flatten, GlobalAvgPool2d
from zoo.arch.operators.joins import Add, Mul
from zoo.arch.operators.maps import ConvTranspose2d, Pad2d, Reduce, Upsample
from zoo.arch.operators.moves import ChannelPermute, ChannelShuffle, Concat, Slice
from zoo.arch.operators.norms import GroupNorm, LayerNorm, Normalize
from zoo.arch.operators.tokens import (
    ConcatAlong,
    Expand,
    Index,
    Narrow,
    Permute,
    Reshape,
    Roll,
    Weight,
)
from zoo.arch.operators.windows import (
    AvgPool2d,
    Conv2d,
    MaxPool2d,
    Padding,
    Pool,
    Sides,
    Window,
    sides,
    symmetric,
)

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "Add",
    "AddScalar",
    "AvgPool2d",
    "BatchNorm2d",
    "ChannelPermute",
    "ChannelShuffle",
    "Clamp",
    "Concat",
    "ConcatAlong",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Expand",
    "Flatten",
    "GlobalAvgPool2d",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Index",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MatMul",
    "MaxPool2d",
    "Mish",
    "Mul",
    "MulScalar",
    "Narrow",
    "Normalize",
    "PReLU",
    "Pad2d",
    "Padding",
    "Permute",
    "Pool",
    "ReLU",
    "ReLU6",
    "Reduce",
    "Reshape",
    "Roll",
    "ScaledDotProductAttention",
    "SiLU",
    "Sides",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Tanh",
    "Upsample",
    "Weight",
    "Window",
    "sides",
    "symmetric",
]
