"""Layers of convolutional networks as they are adopted: which operators, and that they agree."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import BACKENDS
from test_adopt import agreement, randomized
from torch import nn
from torch.nn import functional as F

import zoo
from zoo.arch.operators import (
    ELU,
    GELU,
    AddScalar,
    AvgPool2d,
    BatchNorm2d,
    Clamp,
    Conv2d,
    ConvTranspose2d,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    Mish,
    MulScalar,
    Pad2d,
    PReLU,
    Reduce,
    ReLU,
    ReLU6,
    Tanh,
    Upsample,
)

SIZE = 16


class By(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def pool(kind, k, s, p, **more):
    return kind(kernel_size=(k, k), stride=(s, s), padding=(p,) * 4, **more)


def upsample(size=None, scale_factor=None, mode="nearest", align_corners=False):
    return Upsample(size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners)


# name → a layer or function of 8 channels, and the operators that it is
ROWS = {
    "gelu": (nn.GELU(), [GELU(approximate="none")]),
    "gelu_tanh": (nn.GELU("tanh"), [GELU(approximate="tanh")]),
    "leaky": (nn.LeakyReLU(0.2, inplace=True), [LeakyReLU(negative_slope=0.2)]),
    "prelu": (nn.PReLU(8), [PReLU(num_parameters=8)]),
    "prelu_of_one": (nn.PReLU(), [PReLU(num_parameters=1)]),
    "elu": (nn.ELU(0.7), [ELU(alpha=0.7)]),
    "tanh": (nn.Tanh(), [Tanh()]),
    "exp": (lambda x: torch.exp(-x), [MulScalar(value=-1.0), Exp()]),
    "mish": (nn.Mish(), [Mish()]),
    "hardtanh": (nn.Hardtanh(), [Clamp(min_val=-1.0, max_val=1.0)]),
    "gelu_by_hand": (
        lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        [GELU(approximate="tanh")],
    ),
    "hard_sigmoid_by_hand": (lambda x: F.relu6(x + 3) / 6, [HardSigmoid()]),
    "hard_swish_by_hand": (lambda x: x * F.relu6(x + 3) / 6, [HardSwish()]),
    "hard_swish_with_a_gate": (lambda x: x * (F.relu6(x + 3) / 6), [HardSwish()]),
    "relu6": (lambda x: x.clamp(0, 6), [ReLU6()]),
    "clamp_min": (lambda x: x.clamp_min(0), [ReLU()]),
    "clamp_max": (lambda x: torch.clamp(x, max=0.5), [Clamp(min_val=None, max_val=0.5)]),
    "plus": (lambda x: 2 + x, [AddScalar(value=2.0)]),
    "minus": (lambda x: x - 0.5, [AddScalar(value=-0.5)]),
    "from": (lambda x: 1 - x, [MulScalar(value=-1.0), AddScalar(value=1.0)]),
    "times": (lambda x: x * 0.3, [MulScalar(value=0.3)]),
    "over": (lambda x: x / 4, [MulScalar(value=0.25)]),
    "negative": (lambda x: -x, [MulScalar(value=-1.0)]),
    "ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), [pool(MaxPool2d, 3, 2, 0, ceil_mode=True)]),
    "ceil_avg": (
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        [pool(AvgPool2d, 3, 2, 1, ceil_mode=True, count_include_pad=True)],
    ),
    "pad_max": (
        lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-math.inf), 3, 2),
        [pool(MaxPool2d, 3, 2, 1)],
    ),
    "pad_rectified": (  # of which zeros change no maximum
        lambda x: F.max_pool2d(F.pad(F.relu(x), (1, 1, 1, 1)), 3, 2),
        [ReLU(), pool(MaxPool2d, 3, 2, 1)],
    ),
    "pad_zeros": (
        lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2),
        [Pad2d(sides=(1,) * 4, mode="constant"), pool(MaxPool2d, 3, 2, 0)],
    ),
    "pad_same": (  # of which there are several: what windows of one size see is the same
        lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2),
        [pool(MaxPool2d, 3, 2, 0, ceil_mode=True)],
    ),
    "same": (
        nn.Conv2d(8, 4, (3, 2), padding="same", dilation=2, bias=False),
        [Conv2d(
            in_channels=8, out_channels=4, kernel_size=(3, 2), stride=(1, 1), dilation=(2, 2),
            padding=(2, 1, 2, 1),
        )],
    ),
    "channels": (lambda x: x.mean(1, True), [Reduce(kind="mean", dim=(1,), keepdim=True)]),
    "total": (lambda x: x.sum((-2, -1), True), [Reduce(kind="sum", dim=(2, 3), keepdim=True)]),
    "largest": (lambda x: x.max(1, True)[0], [Reduce(kind="amax", dim=(1,), keepdim=True)]),
    "pool": (nn.AdaptiveMaxPool2d(1), [Reduce(kind="amax", dim=(2, 3), keepdim=True)]),
    "pool_to_several": (
        nn.AdaptiveMaxPool2d((4, 2)),
        [MaxPool2d(kernel_size=(4, 8), stride=(4, 8), padding=(0,) * 4)],
    ),
    "reflect": (nn.ReflectionPad2d((1, 2, 3, 0)), [Pad2d(sides=(3, 1, 0, 2), mode="reflect")]),
    "replicate": (nn.ReplicationPad2d(2), [Pad2d(sides=(2, 2, 2, 2), mode="replicate")]),
    "crop": (nn.ZeroPad2d((-1, 1, -2, 2)), [Pad2d(sides=(-2, -1, 2, 1), mode="constant")]),
    "filled": (nn.ConstantPad2d(1, 0.5), [Pad2d(sides=(1,) * 4, mode="constant", value=0.5)]),
    "nearest": (nn.Upsample(scale_factor=2), [upsample(scale_factor=(2, 2))]),
    "bilinear": (
        lambda x: F.interpolate(x, size=(2 * SIZE, 3 * SIZE), mode="bilinear"),
        [upsample(size=(2 * SIZE, 3 * SIZE), mode="bilinear")],
    ),
    "aligned": (
        nn.UpsamplingBilinear2d(scale_factor=2),
        [upsample(scale_factor=(2, 2), mode="bilinear", align_corners=True)],
    ),
    "transposed": (
        nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        [ConvTranspose2d(
            in_channels=8, out_channels=6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1),
            output_padding=(1, 1), dilation=(1, 1), groups=2, bias=True,
        )],
    ),
}  # fmt: skip


class Beside(nn.Module):
    """All rows beside each other, each on a batch norm of the images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.bn = nn.BatchNorm2d(8)
        for name, (layer, _) in ROWS.items():
            self.add_module(name, layer if isinstance(layer, nn.Module) else By(layer))
        self.fc = nn.Linear(self.rows(torch.zeros(1, 3, SIZE, SIZE)).shape[1], 5)

    def rows(self, x):
        x = 3 * self.bn(self.conv(x))
        rows = [self.get_submodule(name)(x.clone()) for name in ROWS]
        return torch.cat([y.mean((2, 3)) for y in rows], 1)

    def forward(self, x):
        return self.fc(self.rows(x))


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return randomized(Beside())


@pytest.fixture(scope="module")
def net(theirs):
    return zoo.adopt(theirs, example=(2, 3, SIZE, SIZE))


@pytest.mark.parametrize("name", ROWS)
def test_a_layer_is_the_operators_that_it_is(name, net):
    names = {name} | {f"{name}_{kind}" for kind in ("add_scalar", "mul_scalar", "1")}
    assert [n.op for n in net.graph.nodes if n.name in names] == ROWS[name][1]


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_of_them_agree_with_the_module(backend, theirs, net, rng):
    assert agreement(theirs, net, backend, rng, SIZE) < 5e-6


def test_what_we_write_as_onnx_comes_back(net, tmp_path):
    zoo.export(net, tmp_path / "net.onnx")
    again = zoo.adopt(tmp_path / "net.onnx", example=(2, 3, SIZE, SIZE))
    for node in net.graph.nodes:
        op, found = node.op, again.graph.by_name[node.name].op
        if isinstance(op, Upsample) and op.size:  # is written as factors
            op = replace(op, size=None, scale_factor=(2, 3))
        if isinstance(op, BatchNorm2d):  # ONNX tells no momentum
            op = replace(op, momentum=found.momentum)
        assert found == op
    assert all(np.array_equal(again[name], net[name]) for name in net)


def test_a_difference_is_a_sum():
    class Difference(nn.Module):
        def forward(self, x):
            return torch.sub(x.relu(), x.sigmoid(), alpha=2)

    net = zoo.adopt(Difference(), example=(2, 3, 8, 8))
    assert [type(n.op).__name__ for n in net.graph.nodes] == ["ReLU", "Sigmoid", "MulScalar", "Add"]
    assert net.graph.nodes[2].op == MulScalar(value=-2.0)


class NormAct(nn.BatchNorm2d):
    """As timm has it: a norm that is a module with modules inside."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


def test_what_stands_inside_of_a_layer_is_called_beside_it():
    net = zoo.adopt(nn.Sequential(NormAct(3), nn.Conv2d(3, 4, 1)), example=(2, 3, 8, 8))
    assert [node.name for node in net.graph.nodes] == ["0", "0_act", "1"]
    assert zoo.create(net)(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 8, 8)


class Cosine(nn.Module):
    """As Swin V2's attention has it: what is the same of all images stands last in a sum."""

    def __init__(self):
        super().__init__()
        self.project = nn.Conv2d(3, 8, 1)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.shift = nn.Parameter(torch.rand(1, 8, 4, 4))

    def forward(self, x):
        y = F.normalize(self.project(x), dim=1) * self.scale.clamp(max=4.6).exp()
        return y + 16 * torch.sigmoid(self.shift)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_the_same_of_all_images_is_not_written_over(backend, rng):
    theirs = Cosine().eval()
    net = zoo.adopt(theirs, example=(2, 3, 4, 4))
    assert agreement(theirs, net, backend, rng, 4) < 5e-6


REFUSED = [
    (
        lambda x: torch.div(x, 2, rounding_mode="floor"),
        r"div: rounding_mode \(='floor'\) must be None",
    ),
    (lambda x: F.interpolate(x, scale_factor=1.7), r"scale_factors \(=\(1\.7, 1\.7\)\) must be"),
    (lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), "is no operator|where a max"),
    (lambda x: x.sum(), "sum: over all axes"),
    (lambda x: x.mean((0, 1)), r"\(16, 16\) must be one value of each image"),
    (lambda x: x + x.mean((0, 1), True), r"dim \(=\(0, 1\)\) must keep the images apart"),
    (lambda x: F.pad(x, (1,) * 4, mode="circular"), r"mode \(='circular'\) must be one of const"),
    (
        lambda x: F.adaptive_max_pool2d(x, (5, 8)),
        r"output_size \(=\(5, 8\)\) must divide the map's \(16, 16\)",
    ),
    (F.selu, "selu is no operator of the zoo"),
    (lambda x: F.celu(x, 2.0), "celu is no operator of the zoo"),
    (lambda x: F.leaky_relu(x, -0.1), r"negative_slope \(=-0\.1\) must not be negative"),
    (lambda x: F.max_pool2d(x, 3, 2, dilation=2), r"dilation \(=\(2, 2\)\) must be \(1, 1\)"),
    (lambda x: F.avg_pool2d(x, 2, divisor_override=3), r"divisor_override \(=3\) must be None"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED)
def test_what_no_layer_of_ours_is_is_told(function, message):
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(By(function), example=(2, 3, SIZE, SIZE))
