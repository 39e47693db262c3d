"""Modules as people have them: what they return, what they are wrapped in, what cannot be read."""

from __future__ import annotations

import warnings
from collections import namedtuple

import numpy as np
import pytest
import torch
from test_adopt import randomized
from torch import nn

import backends
import zoo

SIZE = 16
Returned = namedtuple("Returned", "logits features")


class Several(nn.Module):
    def __init__(self, returned):
        super().__init__()
        self.conv, self.fc, self.more = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Linear(4, 2)
        self.returned = returned

    def forward(self, x):
        maps = self.conv(x)
        flat = maps.mean((2, 3))
        return self.returned(self.fc(flat), maps, self.more(flat))


OUTPUTS = {
    "tensor": (lambda a, b, c: a, ("",), [0]),
    "tuple": (lambda a, b, c: (a, c), ("0", "1"), [0, 2]),
    "list of one": (lambda a, b, c: [a], ("0",), [0]),
    "dictionary": (
        lambda a, b, c: {"logits": a, "maps": b, "aux": {"more": c}},
        ("logits", "maps", "aux.more"), [0, 1, 2],
    ),
    "nested": (lambda a, b, c: (a, (b, [c])), ("0", "1.0", "1.1.0"), [0, 1, 2]),
    "fields": (lambda a, b, c: Returned(a, b), ("logits", "features"), [0, 1]),
    "with None": (lambda a, b, c: (a, None, c), ("0", "2"), [0, 2]),
    "one twice": (lambda a, b, c: (a, a), ("0", "1"), [0, 0]),
}  # fmt: skip


@pytest.mark.parametrize(("returned", "names", "order"), OUTPUTS.values(), ids=OUTPUTS)
def test_what_it_returns_has_names(returned, names, order):
    module = randomized(Several(returned)).eval()
    net = zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    assert net.output_names == names
    x = torch.randn(2, 3, SIZE, SIZE)
    every = Several(lambda *values: values)
    every.load_state_dict(module.state_dict())
    with torch.no_grad():
        wanted = [every(x)[i] for i in order]
        found = zoo.create(net).eval()(x)
    assert isinstance(found, torch.Tensor) == (names == ("",))
    found = [found] if names == ("",) else found
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert "dictionary" not in net.summary()
    report = zoo.parity(net, backends=["original", "onnx"], level="forward")
    assert not report.failures


def test_names_that_tell_something_are_noted():
    net = zoo.adopt(Several(OUTPUTS["dictionary"][0]), example=(2, 3, SIZE, SIZE))
    assert net.notes == ("it returns logits, maps, aux.more: a tuple of these",)
    net = zoo.adopt(Several(OUTPUTS["with None"][0]), example=(2, 3, SIZE, SIZE))
    assert "it returns None as 1: left out" in net.notes


def base():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )  # fmt: skip


class Recomputed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = base()

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint

        return checkpoint(self.body, x, use_reentrant=False)


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x, mask=None):
        return self.conv(x).mean((2, 3))


class NormAct(nn.BatchNorm2d):
    """As timm's: a layer that holds what is done after it."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU6()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


READ = {
    "a layer that holds others": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), NormAct(4), nn.Conv2d(4, 4, 1), NormAct(4)
    ),
    "in training mode": lambda: base().train(),
    "DataParallel": lambda: nn.DataParallel(base()),
    "compiled": lambda: torch.compile(base()),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(base()),
    "two wrappers": lambda: torch.compile(nn.DataParallel(base())),
    "traced by fx": lambda: torch.fx.symbolic_trace(base()),
    "recomputed": Recomputed,
    "optional arguments": Optional,
}


@pytest.mark.parametrize("make", READ.values(), ids=READ)
def test_it_is_read(make):
    torch.manual_seed(0)
    module = randomized(make())
    modes = [part.training for part in module.modules()]
    net = zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    assert [part.training for part in module.modules()] == modes
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        wanted = backends.load("torch").predict(zoo.create(net), x.numpy())[0]
        inside = getattr(module, "_orig_mod", module)
        inside = getattr(inside, "module", inside)
        np.testing.assert_allclose(inside.eval()(x).numpy(), wanted, rtol=0, atol=1e-5)
    assert net.model not in ("DataParallel", "OptimizedModule", "AveragedModel")
    assert not zoo.parity(net, backends=["original"], level="forward").failures


def tied():
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    module[1].weight = module[0].weight
    return module


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Treble(torch.autograd.Function):
    """Its gradient is another than that of what it computes, which no recording tells."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 3


class Custom(nn.Module):
    def forward(self, x):
        return Treble.apply(x)


class Needs(nn.Module):
    def forward(self, x, y):
        return x + y


def pruned():
    from torch.nn.utils import prune

    module = base()
    prune.l1_unstructured(module[0], "weight", 0.5)
    return module


def mixed():
    module = base()
    module[5] = module[5].half()
    return module


def meta():
    with torch.device("meta"):
        return base()


def exported():
    return torch.export.export(base().eval(), (torch.zeros(2, 3, SIZE, SIZE),)).module()


REFUSED = {
    "a number": (
        lambda: Several(lambda a, b, c: {"logits": a, "size": 3}),
        r"it returns size \(=3\), which must be a tensor",
    ),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))),
        r"0: weight is computed of other arrays: .*remove_parametrizations\(module, name\)",
    ),
    "older weight norm": (
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3))),
        r"0: a weight is computed of other arrays: torch\.nn\.utils\.remove_weight_norm\(module\)",
    ),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))),
        "0: weight is computed of other arrays",
    ),
    "pruned": (pruned, r"0: a weight is computed of other arrays: .*prune\.remove\(module, name\)"),
    "shared": (tied, r"0\.weight: is shared by 0 and 1, which no layer of ours can"),
    "called twice": (Twice, r"conv\.weight: is shared by conv and conv_conv2d"),
    "own gradient": (Custom, r"Treble: a torch\.autograd\.Function has a gradient of its own"),
    "two inputs": (Needs, r"Needs: torch\.export cannot take it: missing a required argument: 'y'"),
    "float16": (
        lambda: base().half(),
        r"0\.weight: dtype \(=torch\.float16\) must be torch\.float32, and of 7 more arrays",
    ),
    "float64": (lambda: base().double(), r"0\.weight: dtype \(=torch\.float64\) must be"),
    "mixed": (mixed, r"5\.weight: dtype \(=torch\.float16\) must be torch\.float32, and of 1 more"),
    "on no device": (meta, r"0\.weight: device \(=meta\) must be cpu, and of 8 more arrays"),
    "without shapes": (
        lambda: nn.Sequential(nn.LazyConv2d(3, 1)), r"0\.weight: has no shape yet: call the module",
    ),
    "quantized": (
        lambda: torch.ao.quantization.quantize_dynamic(base(), {nn.Linear}),
        "5: Linear is quantized: adopt what it was made from",
    ),
    "TorchScript": (
        lambda: torch.jit.trace(base().eval(), torch.zeros(2, 3, SIZE, SIZE)),
        "a TorchScript module is code of its own: adopt what it was made from",
    ),
    "exported": (exported, r"GraphModule: torch\.export cannot take it: Calling eval\(\)"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_by_name(make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is deprecated
        module = make()
    apply = vars(torch.autograd.Function)["apply"]
    modes = [part.training for part in module.modules()]
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    assert [part.training for part in module.modules()] == modes
    assert vars(torch.autograd.Function)["apply"] is apply
