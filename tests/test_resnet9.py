"""ResNet-9 against the tutorial's network, described here in PyTorch's layers under its names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import BACKENDS, FRAMEWORKS
from torch import nn
from torch.nn import functional as F

import backends
import zoo
from weights import randomize, save_weights
from weights.dialects import find_dialect
from zoo.arch import Node
from zoo.arch.operators import Add, BatchNorm2d, GlobalAvgPool2d, ReLU
from zoo.proof.conditioning import well_conditioned_weights
from zoo.proof.measure import each_relative_l2, joint_relative_l2, relative_maximum

SPEC = zoo.spec("resnet9", num_classes=20)
JOVIAN = find_dialect("jovian")[0]
ADMITTED = 5e-6
"""Error of values between float32 networks, or against one in float64."""


def block(read, made, *pool):
    conv = nn.Conv2d(read, made, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(made), nn.ReLU(), *pool)


class Described(nn.Module):
    """What the tutorial builds for 32×32 images and 20 classes."""

    def __init__(self, *dropout):
        super().__init__()
        self.conv1, self.conv2 = block(3, 64), block(64, 128, nn.MaxPool2d(2))
        self.res1 = nn.Sequential(block(128, 128), block(128, 128))
        self.conv3 = block(128, 256, nn.MaxPool2d(2))
        self.conv4 = block(256, 512, nn.MaxPool2d(2))
        self.res2 = nn.Sequential(block(512, 512), block(512, 512))
        self.classifier = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), *dropout, nn.Linear(512, 20))

    def forward(self, x):
        x = self.conv2(self.conv1(x))
        x = self.conv4(self.conv3(x + self.res1(x)))
        return self.classifier(x + self.res2(x))


def filled(net, canonical):
    """Give a description weights, under the tutorial's names."""
    written = JOVIAN.write(SPEC.graph, canonical)
    net.load_state_dict({name: torch.from_numpy(a) for name, a in written.items()})
    return net.eval()


def run(net, x):
    with torch.no_grad():
        return net(torch.from_numpy(x)).numpy()


def outputs(source, x, backend):
    model = zoo.load(source, backend=backend)
    return backends.load(backend).predict(model, x)[0]


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 3, 32, 32)).astype(np.float32)


@pytest.fixture
def work(x):
    """Images, weights that tell the most on them, and the description with these in float64."""
    canonical = well_conditioned_weights(SPEC.graph, x, seed=0, training=False)
    return x, canonical, filled(Described(), canonical).double()


def test_published_count():
    assert zoo.cost("resnet9").params == 6_575_370  # of the tutorial, for CIFAR-10
    assert zoo.cost(SPEC).params == sum(p.numel() for p in Described().parameters())


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("dialect", "dropout"), [("jovian", ()), ("jovian_dropout", (nn.Dropout(0.2),))]
)
def test_files_of_the_tutorial(dialect, dropout, x, graph_mode, tmp_path):
    net = Described(*dropout)
    theirs = find_dialect(dialect)[0].write(SPEC.graph, randomize(SPEC.graph, 1))
    net.load_state_dict({name: torch.from_numpy(a) for name, a in theirs.items()})
    expected = run(net.eval(), x)
    path = tmp_path / "theirs.pth"
    torch.save(net.state_dict(), path)
    found = zoo.load_weights(path)
    assert (found.model, found.dialect, found.spec) == ("resnet9", dialect, SPEC)
    for backend in BACKENDS:
        assert relative_maximum(outputs(path, x, backend), expected) < ADMITTED, backend
    # And back, by way of MindSpore: the same bits in the same names.
    zoo.convert(path, tmp_path / "ours.ckpt")
    assert relative_maximum(outputs(tmp_path / "ours.ckpt", x, "mindspore"), expected) < ADMITTED
    zoo.convert(tmp_path / "ours.ckpt", tmp_path / "back.pth", to_dialect=dialect)
    again = Described(*dropout)
    again.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True), strict=True)
    assert np.array_equal(run(again.eval(), x), expected)


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_gradients_are_those_of_the_description(backend, work):
    x, canonical, net = work
    y = np.array([3, 17])
    loss = F.cross_entropy(net(torch.from_numpy(x).double()), torch.from_numpy(y))
    loss.backward()
    names = JOVIAN.names(SPEC.graph)
    exact = {names[name]: p.grad.numpy() for name, p in net.named_parameters()}
    engine = backends.load(backend)
    found_loss, found = engine.gradients(
        SPEC.graph, canonical, x, y, training=False, dtype="float32"
    )
    assert abs(found_loss - loss.item()) < 1e-5 * loss.item()
    assert found.keys() == exact.keys()
    assert joint_relative_l2(found, exact) < 1e-5
    assert max(each_relative_l2(found, exact).values()) < 1e-5


@pytest.mark.sweep(quick=["numpy", "torch"])
@pytest.mark.parametrize("backend", ["numpy", *FRAMEWORKS])
def test_batch_statistics_are_those_of_the_description(backend, work):
    x, canonical, net = work
    expected = run(net.train(), x.astype(np.float64))
    state, names = net.state_dict(), JOVIAN.names(SPEC.graph)
    values, buffers = backends.load(backend).forward(
        SPEC.graph, canonical, x, training=True, dtype="float32"
    )
    assert relative_maximum(values["classifier"], expected) < ADMITTED
    after = {ours: state[theirs].numpy() for theirs, ours in names.items() if "running" in theirs}
    assert buffers.keys() == after.keys()
    assert all(relative_maximum(buffers[name], after[name]) < ADMITTED for name in after)


def mean_for_maximum(node):
    return replace(node, op=GlobalAvgPool2d()) if node.name == "pool" else node


def no_shortcut(node):
    return Node(node.name, ReLU(), node.inputs[1:]) if isinstance(node.op, Add) else node


def other_eps(node):
    is_norm = isinstance(node.op, BatchNorm2d)
    return replace(node, op=replace(node.op, eps=1e-3)) if is_norm else node


@pytest.mark.parametrize("mistake", [None, mean_for_maximum, no_shortcut, other_eps])
def test_mistakes_are_seen(mistake, work):
    x, canonical, net = work
    graph = SPEC.graph
    if mistake:
        graph = replace(graph, nodes=tuple(mistake(node) for node in graph.nodes))
    values, _ = backends.load("numpy").forward(graph, canonical, x, training=False, dtype="float64")
    error = relative_maximum(values["classifier"], run(net, x.astype(np.float64)))
    assert error > 1e-4 if mistake else error < 1e-12


def test_exchanged_blocks_are_seen(work):
    """The blocks of a residual have the same shapes: only the function tells their order."""
    x, canonical, net = work
    other = {"res2.0": "res2.1", "res2.1": "res2.0"}
    exchanged = {other.get(n[:6], n[:6]) + n[6:]: array for n, array in canonical.items()}
    model = zoo.create(SPEC, backend="numpy", weights=exchanged)
    assert relative_maximum(model(x), run(net, x.astype(np.float64))) > 1e-2


@pytest.mark.parametrize("size", [8, 48, 64])
def test_the_weights_fit_images_of_any_size(size, rng):
    larger = zoo.spec(SPEC, image_size=size)
    assert larger.graph.parameters == SPEC.graph.parameters
    canonical = randomize(SPEC.graph)
    net = filled(Described(), canonical)
    net.classifier[0] = nn.AdaptiveMaxPool2d(1)  # of the whole map
    x = rng.standard_normal((2, 3, size, size)).astype(np.float32)
    model = zoo.create(larger, backend="numpy", weights=canonical)
    assert relative_maximum(model(x), run(net, x)) < ADMITTED


def test_what_arrays_do_not_tell_is_kept_by_files(tmp_path):
    spec = zoo.spec(SPEC, dropout=0.2, image_size=64, conv_bias=False, classifier_bias=False)
    for name in ("a.safetensors", "a.ckpt"):
        zoo.save(zoo.create(spec, backend="numpy"), tmp_path / name)
        assert zoo.load_weights(tmp_path / name).spec == spec
    found = zoo.load_weights(tmp_path / "a.ckpt")
    with pytest.raises(zoo.WeightsError, match="1 of 40 arrays do not fit resnet9 in dialect zoo"):
        zoo.load_weights(damaged(tmp_path / "a.pth", dict(found), "res1.1.bn.bias"))


def damaged(path, arrays, without):
    """Write arrays as PyTorch would, but for one."""
    kept = {name: torch.from_numpy(a.copy()) for name, a in arrays.items() if name != without}
    torch.save(kept, path)
    return path


WRONG = [
    ({"channels": (64, 128)}, zoo.SpecError, "channels (=(64, 128)) must be four numbers"),
    ({"channels": (64, 128, 256, 0)}, zoo.SpecError,
     "channels (=0) must be a whole number of at least 1"),
    ({"dropout": 1.0}, zoo.SpecError, "dropout (=1.0) must be in [0, 1)"),
    ({"conv_bias": 1}, zoo.SpecError, "conv_bias (=1) must be True or False"),
    ({"conventions": "page"}, zoo.UnknownNameError, "unknown resnet9 preset 'page'"),
    ({"image_size": 7}, zoo.GraphError, "conv4.pool: kernel_size (=(2, 2)) must fit the padded "),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "kind", "message"), WRONG)
def test_bad_input(overrides, kind, message):
    with pytest.raises(kind) as error:
        zoo.spec("resnet9", **overrides)
    assert str(error.value).startswith(message)


def test_a_larger_image_is_no_obstacle_to_verification(tmp_path):
    """A network for 128 pixels does not admit the 64 that others are verified on."""
    spec = zoo.spec("resnet9", image_size=128, channels=(4, 8, 8, 8))
    save_weights(tmp_path / "a.safetensors", spec, randomize(spec.graph))
    assert zoo.convert(tmp_path / "a.safetensors", tmp_path / "b.ckpt").error == 0.0
