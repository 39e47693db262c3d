"""Networks from elsewhere: read, run on every backend, proven against the module that they were."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from conftest import BACKENDS
from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth
from typer.testing import CliRunner

import backends
import zoo
from zoo.adoption.canonical import canonical
from zoo.adoption.program import Call, Program
from zoo.arch import operators
from zoo.cli import app

SIZE = 32


class Excite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, 4, 1)
        self.up = nn.Conv2d(4, channels, 1)

    def forward(self, x):
        y = self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1))))
        return torch.sigmoid(y) * x  # the gate stands first


class Unit(nn.Module):
    """A residual with a shuffle by hand, one activation called twice, and a swish by hand."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=2, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.2)
        self.act = nn.ReLU(inplace=True)
        self.excite = Excite(channels)
        self.drop_path = StochasticDepth(0.25, "row")

    def forward(self, x):
        n, c, h, w = x.shape
        y = self.act(self.bn(self.conv(x)))
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        y = self.drop_path(self.excite(y))
        y = y * torch.sigmoid(y)
        return self.act(x + y)


class Theirs(nn.Module):
    def __init__(self, classes=7):
        super().__init__()
        self.Stem_1 = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8))
        self.body = nn.Sequential()
        self.body.add_module("unit-0", Unit(8))
        self.body.add_module("unit-1", Unit(8))
        self.pool = nn.AdaptiveAvgPool2d((3, 2))
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(48, classes)
        self.auxiliary = nn.Linear(48, classes)  # in training alone

    def forward(self, x):
        x = F.hardtanh(self.Stem_1(x), 0.0, 6.0)
        first, second = self.body(x).chunk(2, 1)
        x = torch.cat([F.max_pool2d(first, 2), F.avg_pool2d(second, 2)], 1)
        x = torch.flatten(self.pool(x), 1)
        if self.training:
            return self.fc(self.drop(x)), self.auxiliary(x)
        return self.fc(self.drop(x))


def randomized(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith(("running_var", "bn.weight")):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point() and tensor.dim() < 2:
                tensor.normal_(0, 0.3, generator=generator)
    return module


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return randomized(Theirs())


@pytest.fixture(scope="module")
def net(theirs):
    return zoo.adopt(theirs, example=(2, 3, SIZE, SIZE))


def agreement(module, net, backend, rng, size=SIZE):
    """Return how far a backend's model is from the module, of its largest value."""
    x = rng.standard_normal((3, 3, size, size)).astype(np.float32)
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(x)).numpy()
    model = zoo.create(net, backend=backend)
    (found,) = backends.backend_of(model).predict(model, x)
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_computes_what_the_module_does(backend, theirs, net, rng):
    assert agreement(theirs, net, backend, rng) < 5e-6


def test_what_is_done_by_hand_becomes_the_operator_that_it_is(net):
    ops = {node.name: node.op for node in net.graph.nodes}
    unit = {n.removeprefix("body.unit-0."): op for n, op in ops.items() if "unit-0" in n}
    assert unit["channel_shuffle"] == operators.ChannelShuffle(groups=2, order="gn")
    assert unit["silu"] == operators.SiLU()
    assert unit["excite.mul"] == operators.Mul()
    assert net.graph.by_name["body.unit-0.excite.mul"].inputs == (
        "body.unit-0.channel_shuffle", "body.unit-0.excite.sigmoid",
    )  # fmt: skip
    assert unit["drop_path"] == operators.Dropout(p=0.25, of="image")
    assert unit["act"] == unit["act_1"] == operators.ReLU()
    assert unit["bn"] == operators.BatchNorm2d(num_features=8, eps=1e-3, momentum=0.2)
    assert ops["hardtanh"] == operators.ReLU6()
    assert ops["pool"] == operators.AdaptiveAvgPool2d(output_size=(3, 2))
    assert ops["drop"] == operators.Dropout(p=0.2)


def test_a_module_is_left_as_it_was_found(rng):
    module = Theirs().train()
    module.body[0].eval()
    calls = []
    module.fc.register_forward_hook(lambda *_: calls.append(1))
    modes = [part.training for part in module.modules()]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    net = zoo.adopt(module, example=(1, 3, SIZE, SIZE))
    assert torch.rand(1) == wanted
    assert [part.training for part in module.modules()] == modes
    assert all("forward" not in vars(part) for part in module.modules())
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in before.items())
    assert net.notes == ("no output depends on auxiliary.bias, auxiliary.weight: left out",)
    with torch.no_grad():
        module.fc.weight.zero_()
    assert np.any(net["fc.weight"])  # a copy


def test_it_is_a_network_like_any_other(net, theirs, tmp_path, rng):
    model = zoo.create(net, num_classes=5, image_size=48, in_channels=1, adapt=True)
    assert model(torch.zeros(2, 1, 48, 48)).shape == (2, 5)
    assert zoo.spec_from_json(net.spec.to_json()) == net.spec
    assert zoo.cost(net.graph).params == sum(
        p.numel() for n, p in theirs.named_parameters() if not n.startswith("auxiliary")
    )
    whole = zoo.create(net)
    x = rng.standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    (wanted,) = backends.load("torch").predict(whole, x)
    for name in ("net.safetensors", "net.ckpt", "net.npz", "net.pth"):
        zoo.save(whole, tmp_path / name)
        again = zoo.load(tmp_path / name)
        np.testing.assert_array_equal(backends.load("torch").predict(again, x)[0], wanted)
    zoo.export(net, tmp_path / "net.onnx", optimize=True)
    np.testing.assert_allclose(zoo.open_exported(tmp_path / "net.onnx")(x), wanted, atol=1e-5)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")  # a later checkpoint of theirs
    del (state := theirs.state_dict())["auxiliary.weight"], state["auxiliary.bias"]
    torch.save(state, tmp_path / "theirs.pth")
    held = zoo.load_weights(tmp_path / "theirs.pth", model=net)
    assert held.spec == net.spec
    assert all(np.array_equal(held[name], net[name]) for name in net)


def test_its_source_stands_alone_and_loads_their_weights(net, theirs, tmp_path):
    zoo.write_source(net, tmp_path / "theirs_alone.py")
    space: dict = {"__name__": "alone"}
    exec(compile((tmp_path / "theirs_alone.py").read_text(), "alone", "exec"), space)
    module = space["Theirs"]().eval()
    state = {n: t for n, t in theirs.state_dict().items() if not n.startswith("auxiliary")}
    module.load_state_dict(state)
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        # x * sigmoid(x) by hand is two kernels, SiLU is one.
        torch.testing.assert_close(module(x), theirs.eval()(x), rtol=0, atol=1e-6)


def test_what_an_original_draws_is_no_part_of_the_proof():
    """MobileNetV3's classifier: what its dropout reads, and what it hands out, is a module's."""
    layers = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    layers += [nn.Flatten(), nn.Linear(8, 12), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(12, 4)]
    net = zoo.adopt(nn.Sequential(*layers), example=(2, 3, 32, 32))
    report = zoo.parity(net, backends=["original"], level="batch_statistics")
    own = {f.measure: f for f in report.findings if f.level == "batch_statistics"}["each operator"]
    assert own.status != "failed"
    assert "6" in own.errors
    assert "7" not in own.errors


class Auxiliary(nn.Module):
    """In training alone, a filter that is larger than the map."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, stride=4)
        self.large = nn.Conv2d(4, 4, 9)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.body(x)
        if self.training:
            self.large(x)
        return self.fc(x.mean((2, 3)))


def test_an_original_that_cannot_run_is_told():
    net = zoo.adopt(Auxiliary(), example=(2, 3, 32, 32))
    assert zoo.parity(net, backends=["original"], level="forward").passed
    message = (
        r"backend 'original': the module cannot run in training mode on images \(2, 3, 32, 32\): "
        r"RuntimeError: .*Kernel size"
    )
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.parity(net, backends=["original"], level="gradients")


def test_the_original_is_judged_at_every_level(net):
    report = zoo.parity(net, backends=["original", "torch"], level="training")
    assert not report.failures
    levels = {f.level for f in report.findings if f.backend == "original"}
    assert levels == {"structure", "forward", "batch_statistics", "gradients", "training"}
    (seen,) = (
        f for f in report.findings
        if (f.backend, f.level, f.measure) == ("original", "forward", "every node")
    )  # fmt: skip
    assert {"Stem_1.0", "body.unit-1.act_1", "body.unit-0.excite.up", "pool", "fc"} <= set(
        seen.errors
    )


class Other(Theirs):
    def forward(self, x):
        x = F.hardtanh(self.Stem_1(x), 0.0, 6.0)
        first, second = self.body(x).chunk(2, 1)
        x = torch.cat([F.max_pool2d(first, 2), F.avg_pool2d(second, 2)], 1)
        return self.fc(self.drop(torch.flatten(self.pool(1.001 * x), 1)))


class DetachedGate(Excite):
    def forward(self, x):
        y = self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1))))
        return torch.sigmoid(y).detach() * x


def other_forward(theirs):
    theirs.__class__ = Other


def other_gradient(theirs):
    theirs.body[1].excite.__class__ = DetachedGate


def other_momentum(theirs):
    theirs.body[0].bn.momentum = 0.1


@pytest.mark.parametrize(
    ("change", "level", "name"),
    [
        (other_forward, "forward", "pool"),
        (other_momentum, "batch_statistics", "body.unit-0.bn.running_mean"),
        (other_gradient, "gradients", "body.unit-1.excite.up.bias"),
    ],
)
def test_an_original_that_computes_something_else_is_named(change, level, name):
    module = randomized(Theirs())
    net = zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    change(module)
    report = zoo.parity(net, backends=["original"], level=level)
    first = report.failures[0]
    assert (first.level, first.diverges_at) == (level, name)


class Means(nn.Module):
    def forward(self, x):
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def test_a_module_that_does_more_does_not_hand_out_its_first_value():
    parts = {"conv": nn.Conv2d(3, 4, 3), "global_pool": Means(), "fc": nn.Linear(4, 5)}
    net = zoo.adopt(nn.Sequential(OrderedDict(parts)), example=(2, 3, 8, 8))
    assert [node.name for node in net.graph.nodes][1:3] == ["global_pool", "global_pool_1"]
    assert zoo.parity(net, backends=["original"], level="forward").passed


# ── What cannot be adopted ───────────────────────────────────────────────────────────────────────


class Choosing(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Pair(nn.Module):
    def forward(self, x, y):
        return x + y


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.odd = nn.Softsign()

    def forward(self, x):
        return torch.erf(self.odd(x)) * self.scale


class Across(nn.Module):
    def forward(self, x):
        return torch.flatten(x)


REFUSED = [
    (Choosing, r"Choosing: torch\.export cannot take it: "),
    (Pair, r"Pair: torch\.export cannot take it: "),
    (Shared, r"conv\.weight: is shared by conv and conv_conv2d, which no layer of ours"),
    (lambda: nn.Conv2d(3, 4, 1).double(), r"weight: dtype \(=torch\.float64\) must be torch\."),
    (lambda: nn.Conv2d(3, 4, 1, device="meta"), r"weight: device \(=meta\) must be cpu"),
    (lambda: torch.jit.script(nn.ReLU()), "a TorchScript module is code of its own"),
    (lambda: nn.LSTM(3, 4), "LSTM: torch.export cannot take it"),
    (lambda: nn.Sequential(nn.SELU()), r"0 \(activation\.py:\d+\): selu is no operator"),
    (lambda: nn.BatchNorm2d(3, affine=False), "batch_norm: must have a weight"),
    (Across, r"what the network returns \(3072,\) must be one value of each image"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_no_operator_is_is_told(make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        module = make()
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(module, example=(2, 3, SIZE, SIZE))


def test_all_that_is_missing_is_told_at_once():
    with pytest.raises(zoo.AdoptionError) as caught:
        zoo.adopt(Strange(), example=(2, 3, SIZE, SIZE))
    lines = str(caught.value).splitlines()
    assert lines[0] == "the network cannot be adopted:"
    # What the rules refuse and what the reader does, which looks at it before.
    assert any("erf is no operator of the zoo" in line for line in lines)
    assert any("abs is no operator of the zoo" in line for line in lines)
    assert any(line.lstrip().startswith("odd (") for line in lines)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((2, 3, 32), r"example \(=\(2, 3, 32\)\) must be a shape \(N, C, H, W\)"),
        (np.zeros((3, 32, 32)), r"example: rank \(=3\) must be 4, \(N, C, H, W\)"),
    ],
)
def test_an_example_that_is_no_batch_of_images_is_refused(example, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.adopt(nn.ReLU(), example=example)


def test_only_networks_of_a_framework_are_adopted():
    with pytest.raises(
        zoo.AdoptionError, match=r"dict is no network of mindspore or torch, and no file of"
    ):
        zoo.adopt({})
    with pytest.raises(zoo.SpecError, match=r"'original': only of a network that zoo\.adopt"):
        zoo.parity("resnet9", backends=["original"])
    with pytest.raises(zoo.SpecError, match=r"image_size .* must be the same both ways"):
        zoo.adopt(nn.Conv2d(3, 4, 1), example=(2, 3, 8, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["nodes"][0].__setitem__(1, "Conv3d"), "unknown operator 'Conv3d'"),
        (lambda f: f["nodes"][0][2].__setitem__("kernel", 3), "unknown value of Conv2d 'kernel'"),
        (lambda f: f["nodes"][0][2].__setitem__("out_channels", 10**9), "must be from"),
        (lambda f: f["nodes"][0][2].__setitem__("groups", 2), "in_channels .* divisible by groups"),
        (lambda f: f["nodes"][0].pop(), "a node must be a list of name, operator"),
        (lambda f: f["nodes"][0][3].__setitem__(0, "later"), "reads 'later', which no earlier"),
        (lambda f: f.__setitem__("nodes", {}), "nodes must be a list"),
        (lambda f: f.__setitem__("version", 2), r"version \(=2\) of the graph must be 1"),
        (lambda f: f.pop("outputs"), "outputs .* must be a list of texts"),
    ],
)
def test_a_graph_that_was_tampered_with_is_refused(change, message, net):
    fields = json.loads(net.spec.to_json())
    assert zoo.spec_from_json(json.dumps(fields)) == net.spec
    change(fields["body"])
    with pytest.raises((zoo.GraphError, zoo.UnknownNameError), match=message):
        zoo.spec_from_json(json.dumps(fields))


# ── Networks that others publish ─────────────────────────────────────────────────────────────────

QUICK = ("squeezenet1_1", "efficientnet_b0")
PUBLISHED = (
    "alexnet", "densenet121", "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "vgg11_bn",
)  # fmt: skip


@pytest.mark.sweep(quick=["squeezenet1_1"])
@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in PUBLISHED)]
)
def test_torchvisions_networks(name, rng):
    size = 96 if name == "inception_v3" else 64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other initial weights some day
        module = randomized(getattr(torchvision.models, name)(weights=None, num_classes=10))
    net = zoo.adopt(module, example=(2, 3, size, size))
    limit = 1e-5 if len(net.graph.parameters) > 450 else 5e-6  # of more than 150 layers
    for backend in ("torch", "mindspore", "onnx"):
        assert agreement(module, net, backend, rng, size) < limit


def test_a_port_is_source_weights_and_proof(theirs, net, tmp_path, rng):
    done = zoo.port(net, tmp_path / "port", to="torch", level="forward")
    assert done.error < 5e-6
    assert {finding.backend for finding in done.report.findings} == {"original", "torch"}
    made = {path.name for path in done.folder.iterdir()}
    assert made == {"README.md", "theirs.py", "theirs.pth", "parity.json", "parity.png"}
    space: dict = {"__name__": "alone"}
    exec(compile((done.folder / "theirs.py").read_text(), "alone", "exec"), space)
    module = space["Theirs"]().eval()
    module.load_state_dict(torch.load(done.folder / "theirs.pth"))
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(module(x), theirs.eval()(x), rtol=0, atol=1e-6)
    assert (
        "ported by parity-zoo from the torch module Theirs"
        in (done.folder / "README.md").read_text()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torchvision.models", "'torchvision.models' must be like torchvision.models:resnet50"),
        ("torchvision.models:resnet5", "torchvision.models:resnet5: AttributeError: "),
        ("no.such.module:net", "no.such.module:net: ModuleNotFoundError: "),
        ("builtins:dict", "dict is no network of mindspore or torch"),
    ],
)
def test_what_makes_no_network_is_told(text, message, tmp_path):
    done = CliRunner().invoke(app, ["port", text, "--out", str(tmp_path / "port")])
    assert message in str(done.exception)
    assert not (tmp_path / "port").exists()


def test_values_that_make_no_operator_are_told():
    """Files of strangers may tell anything."""
    options = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (), "ceil_mode": False}
    call = Call("pool", "max_pool2d", ("x",), (1, 3, 4, 4), options=options)
    program = Program("x", (1, 3, 8, 8), [call], ("pool",), False, {})
    with pytest.raises(zoo.AdoptionError, match="max_pool2d: its values do not fit"):
        canonical(program)
