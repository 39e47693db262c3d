"""The operators: a frozen dataclass each, which states its traits once; a file for each kind."""

from zoo.arch.operators.activations import HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU
from zoo.arch.operators.affine import BatchNorm2d, Linear
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
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "HardSigmoid",
    "HardSwish",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Mish",
    "Mul",
    "MulScalar",
    "PReLU",
    "Pad2d",
    "Padding",
    "Pool",
    "ReLU",
    "ReLU6",
    "Reduce",
    "SiLU",
    "Sides",
    "Sigmoid",
    "Slice",
    "Tanh",
    "Upsample",
    "Window",
    "sides",
    "symmetric",
]
