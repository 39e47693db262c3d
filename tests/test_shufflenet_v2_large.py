"""ShuffleNet V2.Large: against a description of its own in PyTorch, under the authors' names."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import pytest
import torch
from conftest import BACKENDS
from torch import nn

import backends
import zoo
from zoo.proof.measure import relative_maximum

NAME = "shufflenet_v2_large"
NARROW = dict(stem_channels=(8, 8, 16), stage_channels=(32, 64), stage_repeats=(2, 3))
NARROW |= dict(last_channels=24, groups=4, num_classes=7)


class Normed(nn.Module):
    def __init__(self, *shape, stride=1, groups=1, relu=True):
        super().__init__()
        read, made, k = shape
        self.conv = nn.Conv2d(read, made, k, stride, k // 2, groups=groups, bias=False)
        self.bn, self.act = nn.BatchNorm2d(made, eps=1e-9), nn.ReLU() if relu else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Unit(nn.Module):
    def __init__(self, read, made, stride, groups, first):
        super().__init__()
        self.branch_main = nn.Sequential(
            Normed(read, made, 1),
            Normed(made, made, 3, stride=stride, groups=groups),
            Normed(made, made, 1, relu=False),
        )
        self.se_fc1, self.se_fc2 = nn.Linear(made, made), nn.Linear(made, made)
        self.se_block = nn.Sequential(self.se_fc1, nn.ReLU(), self.se_fc2, nn.Sigmoid())
        self.proj = Normed(read, made, 3, stride=stride, relu=False) if first else None
        self.down = Normed(2 * made, 2 * made, 1) if stride == 2 else nn.Identity()

    def forward(self, x):
        even, odd = x[:, ::2], x[:, 1::2]
        y = self.branch_main(odd)
        y = y * self.se_block(y.mean((2, 3)))[:, :, None, None]
        pair = (even, odd + y) if self.proj is None else (self.proj(even), y)
        return self.down(torch.cat(pair, 1).relu())


class Large(nn.Module):
    def __init__(self, spec):
        super().__init__()
        a, b, c = spec.stem_channels
        self.first_conv = nn.Sequential(Normed(3, a, 3, stride=2), Normed(a, b, 3), Normed(b, c, 3))
        self.features, read = nn.ModuleList(), c // 2
        for stage, (channels, repeats) in enumerate(
            zip(spec.stage_channels, spec.stage_repeats, strict=True), start=2
        ):
            made, units = channels // 2, nn.Sequential()
            for letter in ascii_lowercase[:repeats]:
                first = letter == "a"
                stride = 2 if first and stage > 2 else 1
                units.add_module(f"{stage}{letter}", Unit(read, made, stride, spec.groups, first))
                read = made
            self.features.append(units)
        self.predict_56 = nn.Linear(3, 3)  # something that is there in training
        self.conv_last = Normed(2 * read, spec.last_channels, 3)
        self.fc = nn.Linear(spec.last_channels, spec.num_classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.first_conv(x), 3, 2, 1)
        for units in self.features:
            x = units(x)
        return self.fc(self.conv_last(x).mean((2, 3)))


def randomized(net):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, array in net.state_dict().items():
            if array.is_floating_point():
                spread = torch.rand(array.shape, generator=generator)
                positive = name.endswith(("running_var", "bn.weight"))
                array.copy_(spread + 0.5 if positive else (spread - 0.5) / 2)
    return net.eval()


@pytest.fixture
def theirs(tmp_path):
    spec = zoo.spec(NAME, **NARROW)
    net = randomized(Large(spec))
    torch.save({"state_dict": nn.DataParallel(net).state_dict()}, tmp_path / "theirs.pth")
    return spec, net, zoo.load_weights(tmp_path / "theirs.pth", model=spec)


@pytest.mark.exhaustive
def test_a_file_of_theirs_computes_what_it_did(theirs, rng):
    spec, net, found = theirs
    assert (found.spec, found.dialect) == (spec, "megvii")
    assert any("arrays predict_* and *.se_block.* are there for training" in n for n in found.notes)
    x = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        wanted = net.double()(torch.from_numpy(x).double()).numpy()
    for backend in BACKENDS:
        model = zoo.create(spec, backend=backend, weights=dict(found))
        (logits,) = backends.load(backend).predict(model, x)
        assert relative_maximum(logits, wanted) < 5e-6, backend
    swapped = {**found, "stage2.1.compress.conv.weight": found["stage2.1.expand.conv.weight"]}
    (logits,) = backends.load("torch").predict(zoo.create(spec, weights=swapped).eval(), x)
    assert relative_maximum(logits, wanted) > 1e-3


def test_they_read_a_file_of_ours(theirs, tmp_path):
    spec, net, found = theirs
    zoo.save(zoo.create(spec, weights=dict(found)), tmp_path / "ours.safetensors")
    zoo.convert(tmp_path / "ours.safetensors", tmp_path / "theirs_again.pth", to_dialect="megvii")
    state = torch.load(tmp_path / "theirs_again.pth", weights_only=True)
    missing, unexpected = net.load_state_dict(state.get("state_dict", state), strict=False)
    assert unexpected == []
    assert all("se_block" in name or "predict" in name or "num_batches" in name for name in missing)


def test_counts():
    """125.1M; with a classifier after each of three stages, as in training, 140.7M."""
    cost = zoo.cost(NAME)
    helpers = sum(10 * c * c + 4 * c + 1000 * c + 1000 for c in (256, 512, 1024))
    assert (cost.params, cost.params + helpers) == (125_120_936, 140_685_664)
    assert cost.macs // 10**8 == 127  # 12.7G in their README
