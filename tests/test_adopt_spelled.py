"""Functions that are several operators of ours: each is spelled out, and computes the same."""

from __future__ import annotations

import re

import pytest
import torch
from conftest import BACKENDS
from test_adopt import agreement, randomized
from torch import nn
from torch.nn import functional as F

import zoo

SIZE = 8


class Eca(nn.Module):
    """A convolution along the channels (arXiv:1910.03151), a batch norm of vectors beside it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm1d(6)

    def forward(self, x):
        y = self.conv(x.mean((2, 3)).view(x.shape[0], 1, -1)).view(x.shape[0], -1, 1, 1)
        largest = self.bn(x.amax((2, 3)))[..., None, None]
        return x * (y.sigmoid() + largest).expand_as(x)


class Halved(nn.Module):
    """A layer norm with a weight alone, autocast switched off."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(SIZE))

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return F.layer_norm(x.float(), (SIZE,), self.weight, None)


class Relative(nn.Module):
    """An einsum with rows of its own in front of what both have, as MViT's positions are."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.rand(SIZE, SIZE, 3))

    def forward(self, x):
        return torch.einsum("nchw,hwk->nchk", x, self.table)


class Weighed(nn.Module):
    """Values weighed by what is learned, the same of all images."""

    def __init__(self):
        super().__init__()
        self.shares = nn.Parameter(torch.rand(3))

    def forward(self, x):
        shares = self.shares.softmax(-1)
        return x * shares[0] + x.relu() * shares[2]


class Cosine(nn.Module):
    """A classifier of directions: its weights are computed, and so is what is added."""

    def __init__(self, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 6))
        self.bias = nn.Parameter(torch.rand(4)) if bias else None

    def forward(self, x):
        weight = F.normalize(self.weight, dim=1)
        return F.linear(x.mean((2, 3)), weight, self.bias if self.bias is None else -self.bias)


class HalvedGroups(nn.GroupNorm):
    """As timm's PoolFormer V2 has it: with a scale alone."""

    def __init__(self):
        super().__init__(2, 6)
        self.bias = None


class Table(nn.Module):
    """Positions that are read along two axes (lambda networks, arXiv:2102.08602)."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(5, 7, 6))

    def forward(self, x):
        rows = torch.arange(SIZE)[:, None] % 5
        table = self.table[rows - 5, rows.T % 7].expand(x.shape[0], -1, -1, -1)
        return table.transpose(-1, -2) @ x.permute(0, 2, 3, 1)


class Gain(nn.Module):
    """A single number, as NFNet's gain of a branch that is skipped."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return x * self.gain


class Rotary(nn.Module):
    """A table that is made of what no file has (arXiv:2104.09864): a constant."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.rand(SIZE // 2), persistent=False)

    def forward(self, x):
        rows, columns = torch.meshgrid(torch.arange(SIZE).float(), self.steps, indexing="ij")
        return x * torch.cat((rows.sin(), columns.cos()), 1)


class Written(nn.Module):
    """A block of a value written over, a constant that is made for each image."""

    def forward(self, x):
        y = x * 2
        y[:, 1:4, :, 2:] = x[:, 1:4, :, 2:].relu()
        steps = torch.arange(SIZE).float().repeat(x.shape[0], 6, SIZE, 1)
        return torch.cat((y, steps / steps.mean((2, 3), keepdim=True)), 1)


def rms(x):
    return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-3)


def kernel(x):
    """Selective kernels: branches stacked behind the images, weighed, added up."""
    both = torch.stack((x, x.tanh()), 1)
    return (both * both.mean((3, 4), keepdim=True).softmax(1)).sum(1)


def folded(x):
    cut = F.unfold(x, 3, padding=1, stride=2)
    return F.fold(cut.sigmoid(), (SIZE, SIZE), 3, padding=1, stride=2)


# name → a function of a map of 6 channels, and the operators that it is
ROWS = {
    "quotient": (lambda x: x / (x.sigmoid() + 1), "Sigmoid AddScalar Pow Mul"),
    "over": (lambda x: torch.reciprocal(x.exp()), "Exp Pow"),
    "rms": (rms, "Mul Reduce AddScalar Pow Mul"),
    "length": (lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True), "Mul Reduce Pow"),
    "cube": (lambda x: torch.square(x).sqrt() + x**3, "Mul Pow Mul Mul Add"),
    "addcmul": (
        lambda x: torch.addcmul(x, x.sigmoid(), x.tanh(), value=0.5),
        "Sigmoid Tanh Mul MulScalar Add",
    ),
    "kernel": (kernel, "Tanh Reshape Reshape Concat Reduce Softmax Mul Reduce"),
    "stacked": (
        lambda x: torch.stack((x.relu(), x.tanh())).mean(0),
        "ReLU Tanh Reshape Reshape Concat Reduce",
    ),
    "eca": (
        Eca(),
        "GlobalAvgPool2d Flatten Reshape Conv2d Reduce Reshape BatchNorm2d Reshape Sigmoid Add Mul",
    ),
    "plain_groups": (nn.GroupNorm(3, 6, affine=False), "Reshape LayerNorm"),
    "groups_halved": (HalvedGroups(), "Reshape LayerNorm Weight Reshape Reshape Mul"),
    "halved": (Halved(), "LayerNorm Weight Mul"),
    "written": (
        Written(),
        "MulScalar Slice Narrow ReLU Slice Narrow ConcatAlong Slice Slice Concat Weight Expand "
        "Concat",
    ),
    "empty": (lambda x: torch.cat((x[:, :0].relu(), x.tanh(), x), 1), "Tanh Concat"),
    "dropped": (nn.Dropout2d(0.2), "Dropout"),
    "rows": (lambda x: F.avg_pool1d(x.flatten(2), 3, 2, padding=1), "Reshape AvgPool2d"),
    "pad_last": (lambda x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 2, 0, 1)), "Pad2d Permute"),
    "pad_rows": (lambda x: F.pad(x.flatten(2), (2, 1)), "Pad2d"),
    "folded": (
        folded,
        "Pad2d Reshape Index Reshape Sigmoid Reshape Pad2d Reshape Index Reshape Reduce",
    ),
    "cubic": (
        lambda x: F.interpolate(x, size=(11, 5), mode="bicubic"),
        "Weight MatMul Weight MatMul",
    ),
    "smooth": (
        lambda x: F.interpolate(x, size=(5, 8), mode="bilinear", antialias=True),
        "Weight MatMul",
    ),
    "relative": (Relative(), "Weight Permute MatMul Permute"),
    "weighed": (Weighed(), "Weight Reshape Softmax Slice Reshape Mul ReLU Slice Reshape Mul Add"),
    "cosine": (Cosine(False), "Weight Normalize GlobalAvgPool2d Flatten Permute MatMul"),
    "tilted": (
        Cosine(True),
        "Weight Normalize GlobalAvgPool2d Flatten Weight MulScalar Permute MatMul Add",
    ),
    "table": (Table(), "Weight Reshape Index Reshape Expand Permute Permute MatMul"),
    "slid": (
        lambda x: x.unfold(2, 4, 2).unfold(3, 3, 3).amax((4, 5)),
        "Index Reshape Permute Index Reshape Permute Reduce",
    ),
    "gain": (Gain(), "Weight Mul"),
    "rotary": (Rotary(), "Weight Mul"),
    "repeated": (lambda x: x.repeat(1, 2, 1, 3), "Index Index"),
    "each": (lambda x: x.repeat_interleave(2, 0).unflatten(0, (-1, 2)), "Index"),
}


class By(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Beside(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1)
        for name, (layer, _) in ROWS.items():
            self.add_module(name, layer if isinstance(layer, nn.Module) else By(layer))

    def forward(self, x):
        x = self.conv(x)
        return torch.cat([self.get_submodule(name)(x.clone()).flatten(1) for name in ROWS], 1)


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return randomized(Beside())


@pytest.fixture(scope="module")
def net(theirs):
    return zoo.adopt(theirs, example=(2, 3, SIZE, SIZE))


@pytest.mark.parametrize("name", ROWS)
def test_a_function_is_spelled_out(name, net):
    nodes = net.graph.nodes
    own = [n for n in nodes if n.name.split(".")[0] == name or n.name.startswith(f"{name}_")]
    assert " ".join(type(n.op).__name__ for n in own) == ROWS[name][1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_of_them_agree_with_the_module(backend, theirs, net, rng):
    assert agreement(theirs, net, backend, rng, SIZE) < 5e-6


def corner(x):
    y = x * 2
    y[:, 1::2] = x[:, 1::2].relu()
    return y


REFUSED = [
    (lambda x: x + torch.arange(x.shape[0])[:, None, None, None], "the same of all images"),
    (
        lambda x: x.flatten(1) @ x.flatten(1).T,
        r"1 \(test_adopt_spelled\.py:\d+\): matmul makes \(.*\): several axes depend on",
    ),
    (lambda x: x[:, :2].repeat(1, x.shape[0], 1, 1)[:, :2], "is no operator|images|several axes"),
    (lambda x: F.pad(x, (1, 1, 1, 1, 0, 1)), "pad: must be of one or two axes"),
    (lambda x: x.repeat_interleave(torch.tensor([1] * 6), 1), "repeats must be a number"),
    (
        lambda x: torch.einsum("nchw,cwk->cnhk", x, torch.ones(6, SIZE, 2)),
        "einsum: .* must keep the images in front",
    ),
    (corner, "copy_: must write over a block of each image"),
    (lambda x: x ** x.mean(), "over all axes|exponent must be a number"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED)
def test_what_cannot_be_spelled_is_told(function, message):
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(nn.Sequential(nn.Conv2d(3, 6, 1), By(function)), example=(2, 3, SIZE, SIZE))


def test_what_is_refused_at_several_steps_is_told_at_once():
    def function(x):  # by the reader, where views are carried out, and by the rules
        return torch.erf(x.abs()) + x.transpose(0, 1).softmax(1).transpose(0, 1)

    with pytest.raises(zoo.AdoptionError) as caught:
        zoo.adopt(By(function), example=(2, 3, SIZE, SIZE))
    place = r"the network itself \(test_adopt_spelled\.py:\d+\): "
    for told in (
        "abs is no operator of the zoo",
        r"softmax reads \(3, 1, 8, 8\) with the images on axis 1, not in front",
        "erf is no operator of the zoo",
    ):
        assert any(re.fullmatch(place + told, line) for line in caught.value.problems)


class Scaled(nn.Module):
    """A quotient, and a learned scale that is the same of all images."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.scale, self.fc = nn.Parameter(torch.rand(6)), nn.Linear(6, 4)

    def forward(self, x):
        x = self.bn(self.conv(x))
        return self.fc((x * self.scale.view(1, -1, 1, 1) / (x.sigmoid() + 1)).mean((2, 3)))


def test_a_proof_asks_of_what_depends_on_the_images_alone_to_tell_them_apart():
    net = zoo.adopt(Scaled(), example=(2, 3, SIZE, SIZE))
    report = zoo.parity(net, backends=["original", "torch"], level="gradients")
    assert report.passed, report.summary()
