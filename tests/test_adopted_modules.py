"""Modules as people have them: what they return, what they are wrapped in, what cannot be read."""

from __future__ import annotations

import warnings
from collections import namedtuple

import numpy as np
import pytest
import torch
from test_adopt import randomized
from torch import nn
from torch.nn import functional as F

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


class Standardized(nn.Conv2d):
    """As timm's NFNet and BiT have it (arXiv:2101.08692); its scale is a parameter, or none."""

    def __init__(self, *sizes, gain):
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.rand(self.out_channels) + 0.5) if gain else None

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        gain = None if self.gain is None else self.gain * 0.3
        flat = F.batch_norm(flat, None, None, weight=gain, training=True, momentum=0.0, eps=1e-6)
        return F.conv2d(x, flat.reshape_as(self.weight), self.bias)


@pytest.fixture
def standardized():
    layers = [Standardized(3, 6, 3, gain=True), nn.ReLU(), Standardized(6, 4, 3, gain=False)]
    return randomized(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())).eval()


def test_weights_that_are_computed_of_others_are_kept_as_they_are_now(standardized):
    before = {name: tensor.clone() for name, tensor in standardized.state_dict().items()}
    net = zoo.adopt(standardized, example=(2, 3, SIZE, SIZE))
    assert net.notes == (
        "0, 2: weights are computed of others: they are kept as they are now, for inference; "
        "training does not compute them again",
    )
    assert [type(n.op).__name__ for n in net.graph.nodes][:3] == ["Conv2d", "ReLU", "Conv2d"]
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        wanted = standardized(x)
        torch.testing.assert_close(zoo.create(net).eval()(x), wanted, rtol=0, atol=5e-6)
    assert all(torch.equal(before[n], t) for n, t in standardized.state_dict().items())


def test_what_a_module_computes_is_in_no_file_of_its_and_not_asked_of_it(standardized, tmp_path):
    net = zoo.adopt(standardized, example=(2, 3, SIZE, SIZE))
    torch.save(standardized.state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(zoo.WeightsError, match=r"0\.computed\.weight: missing"):
        zoo.load_weights(tmp_path / "theirs.pth", model=net)
    with pytest.raises(zoo.SpecError, match=r"a module, whose arrays are its own"):
        zoo.parity(net, backends=["original"])
    zoo.save(zoo.create(net), tmp_path / "ours.pth")
    assert np.array_equal(zoo.load_weights(tmp_path / "ours.pth")["2.computed.weight"],
                          net["2.computed.weight"])  # fmt: skip


def test_a_norm_of_the_images_by_themselves_is_no_weight():
    class Norm(nn.Module):
        def forward(self, x):
            return F.batch_norm(x, None, None, training=True)

    with pytest.raises(zoo.AdoptionError, match="batch_norm: must have a weight"):
        zoo.adopt(Norm(), example=(2, 3, SIZE, SIZE))


class Holes(nn.Module):
    """Functions that are none of ours, one of an array alone, before others of that kind."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(3, SIZE, 1))

    def forward(self, x):
        y = (x.cos() * self.scale.sin()).flatten(1).reshape(-1, 3, SIZE, SIZE).mean((2, 3))
        return y.tan() + torch.digamma(x).amax((2, 3))


def test_all_that_is_missing_is_told_and_nothing_else():
    with pytest.raises(zoo.AdoptionError) as caught:
        zoo.adopt(Holes(), example=(2, 3, SIZE, SIZE))
    told = [problem.rpartition(": ")[2] for problem in caught.value.problems]
    assert told == [
        f"{kind} is no operator of the zoo" for kind in ("cos", "sin", "tan", "digamma")
    ]


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x):
        return self.lstm(x.flatten(2).transpose(1, 2))[0].mean(1).cos()


@pytest.mark.exhaustive
def test_what_a_refused_call_hands_on_is_not_told_again():
    with pytest.raises(zoo.AdoptionError) as caught:
        zoo.adopt(Lstm(), example=(2, 3, SIZE, SIZE))
    told = [problem.rpartition(": ")[2] for problem in caught.value.problems]
    assert told == ["lstm is no operator of the zoo", "cos is no operator of the zoo"]


class Constant(nn.Module):
    """What no file has, once as a buffer and once computed."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(SIZE, 4)
        self.register_buffer("held", torch.rand(SIZE), persistent=False)

    def forward(self, x):
        return self.fc((x * self.held + torch.arange(SIZE).float() / SIZE).mean((1, 2)))


def test_constants_stand_in_no_way_of_a_port_or_a_proof_of_training(tmp_path):
    net = zoo.adopt(randomized(Constant()).eval(), example=(2, 3, SIZE, SIZE))
    assert zoo.port(net, tmp_path / "port", level="forward").passed
    report = zoo.parity(net, backends=["original"], level="training")
    assert not report.failures, report.summary()


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
