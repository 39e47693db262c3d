"""Features and head: found in the graph, methods of the models, and classifiers that change."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from catalog_rows import EACH_KIND
from torch import nn

import weights
import zoo
from zoo.arch import Graph, Node
from zoo.arch.described import described
from zoo.arch.head import Head, head_of, with_classes, without_classifier
from zoo.arch.operators import (
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    Mul,
    ReLU,
    Sigmoid,
    Slice,
)

V2 = "shufflenet_v2_0.5x_cifar"
V2_PLUS = "shufflenet_v2_plus_small"
FRAMEWORKS = ["torch", "mindspore"]

# network → features, what the classifier reads, channels and values of these.
HEADS = {
    "shufflenet_v1_1.0x_g3": ("stage4.3.relu", "flatten", 960, 960),
    "shufflenet_v2_1.0x": ("last.relu", "flatten", 1024, 1024),
    "shufflenet_v2_50": ("last.relu", "flatten", 2048, 2048),
    V2_PLUS: ("stage5.3.concat", "hard_swish", 416, 1280),
    "resnet9": ("res2.add", "flatten", 512, 512),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_found_in_the_graph(name):
    features, pre_logits, channels, values = HEADS[name]
    spec = zoo.spec(name)
    assert head_of(spec.graph) == Head(features, pre_logits, "classifier")
    assert head_of(spec.replace(num_classes=0).graph) == Head(features, pre_logits, None)
    told = described(spec.graph)
    assert (told["num_features"], told["head_hidden_size"]) == (channels, values)
    assert head_of(spec.graph.select(["classifier"])) is None  # of no spec
    assert "num_features" not in described(spec.graph.select([next(iter(spec.features))]))


def test_dropout_belongs_to_what_the_classifier_reads():
    for name in (V2, V2_PLUS, "resnet9"):
        assert head_of(zoo.spec(name, dropout=0.2).graph).pre_logits == "dropout"


def test_images_so_small_that_the_pool_has_nothing_to_do():
    assert head_of(zoo.spec("resnet9", image_size=8).graph).features == "res2.add"


def conv(in_channels, out_channels):
    return Conv2d(
        in_channels=in_channels, out_channels=out_channels, kernel_size=(1, 1), stride=(1, 1),
        padding=(0, 0, 0, 0), bias=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What a graph came from, as far as its head asks."""

    num_classes: int


POOL = MaxPool2d(kernel_size=(4, 4), stride=(4, 4), padding=(0, 0, 0, 0))
# Networks of no family: nodes, and the head found in them for 5 classes.
OTHERS = {
    "a convolution for a classifier, and something after it": (
        (("body.conv", conv(4, 6), ("input",)), ("body.relu", ReLU(), ("body.conv",)),
         ("pool", GlobalAvgPool2d(), ("body.relu",)), ("fc", conv(6, 5), ("pool",)),
         ("flatten", Flatten(), ("fc",)), ("scale", Sigmoid(), ("flatten",))),
        Head("body.relu", "pool", "fc"),
    ),
    "a pool inside of a child, and a gate after it": (
        (("body.conv", conv(4, 6), ("input",)), ("neck.conv", conv(6, 7), ("body.conv",)),
         ("neck.pool", POOL, ("neck.conv",)), ("neck.gate", Sigmoid(), ("neck.pool",)),
         ("neck.mul", Mul(), ("neck.pool", "neck.gate")), ("fc", conv(7, 5), ("neck.mul",)),
         ("flatten", Flatten(), ("fc",))),
        Head("body.conv", "neck.mul", "fc"),
    ),
    "something passes the classifier by": (
        (("body.conv", conv(4, 5), ("input",)), ("pool", GlobalAvgPool2d(), ("body.conv",)),
         ("fc", conv(5, 4), ("pool",)), ("first", Slice(start=0, stop=1), ("pool",)),
         ("join", Concat(), ("fc", "first"))),
        None,
    ),
    "other classes than those of the spec": (
        (("body.conv", conv(4, 6), ("input",)), ("pool", GlobalAvgPool2d(), ("body.conv",)),
         ("fc", conv(6, 4), ("pool",))),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("backend", ["torch"])
def test_heads_of_other_networks(case, backend):
    import backends

    rows, expected = OTHERS[case]
    nodes = tuple(Node(*row) for row in rows)
    graph = Graph(4, (4, 4), nodes, (nodes[-1].name,), origin=Origin(5))
    assert head_of(graph) == expected
    engine = backends.load(backend)
    given = weights.randomize(graph)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 4)).astype(np.float32)
    reference, model = backends.load("numpy").build(graph), engine.build(graph)
    for made, of in ((reference, backends.load("numpy")), (model, engine)):
        of.set_parameters(made, given)
    np.testing.assert_allclose(engine.predict(model.eval(), x)[0], reference(x), rtol=2e-5)
    if expected is None:
        assert not hasattr(model, "forward_features")
        return
    images = torch.from_numpy(x)
    pooled = model.forward_head(model.forward_features(images), pre_logits=True)
    exact = backends.load("numpy").build(graph.select([expected.features, expected.pre_logits]))
    exact.arrays = {name: given[name] for name in exact.graph.parameters}
    features, values = exact(x)
    np.testing.assert_allclose(model.forward_features(images).detach(), features, rtol=2e-5)
    np.testing.assert_allclose(pooled.detach(), values, rtol=2e-5)


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3", "*v2_0.5x", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_every_network_is_features_and_head(name):
    size = min(zoo.spec(name).image_size, 64)
    model = zoo.create(name, seed=1, num_classes=12, image_size=size).eval()
    x = torch.rand(1, 3, size, size, generator=torch.manual_seed(0))
    with torch.no_grad():
        features = model.forward_features(x)
        values = model.forward_head(features, pre_logits=True)
        assert features.dim() == 4
        assert features.shape[1] == model.num_features
        assert values.shape[:2] == (1, model.head_hidden_size)
        assert torch.equal(model.forward_head(features), model(x))
        logits = model.get_classifier()(values)
        if name.startswith("squeezenet"):  # which classifies each pixel
            logits = logits.relu().mean((2, 3))
        assert torch.equal(logits, model(x))
        assert not torch.equal(model.forward_features(x.flip(3)), features)
    assert model.num_classes == len(model.get_classifier().weight) == 12


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["resnet9", V2, V2_PLUS])
def test_cells_are_features_and_head(name, graph_mode):
    import mindspore as ms

    size = min(zoo.spec(name).image_size, 64)
    model, cell = (zoo.create(name, seed=1, backend=backend) for backend in FRAMEWORKS)
    x = torch.rand(2, 3, size, size, generator=torch.manual_seed(0))
    features = cell.forward_features(ms.Tensor(x.numpy()))
    values = cell.forward_head(features, pre_logits=True)
    assert features.shape[1] == cell.num_features == model.num_features
    assert values.shape[1] == cell.head_hidden_size == model.head_hidden_size
    logits = cell(ms.Tensor(x.numpy())).asnumpy()
    assert (
        np.abs(cell.forward_head(features).asnumpy() - logits).max() <= 1e-6 * np.abs(logits).max()
    )
    exact = model.eval().forward_features(x).detach().numpy()
    assert np.abs(features.asnumpy() - exact).max() < 1e-5 * np.abs(exact).max()
    assert cell.feature_info == model.feature_info


@pytest.mark.parametrize("backend", ["numpy", "onnx", "openvino"])
def test_other_backends_tell_of_their_network(backend):
    model = zoo.create(V2_PLUS, backend=backend)
    told = (model.num_classes, model.num_features, model.head_hidden_size)
    assert told == (1000, 416, 1280)
    assert not hasattr(zoo.create(V2_PLUS, backend=backend, outputs=["stage3"]), "num_features")


def test_parts_and_forms_for_inference_have_no_head():
    for options in (dict(outputs=["stage3"]), dict(optimize=True)):
        model = zoo.create(V2, **options)
        for name in ("forward_features", "reset_classifier", "num_features", "feature_info"):
            assert not hasattr(model, name)


@pytest.mark.filterwarnings("ignore")
def test_scripts_have_the_methods():
    model = zoo.create(V2, seed=1).eval()
    x = torch.rand(2, 3, 32, 32)
    scripted = torch.jit.script(model)
    with torch.no_grad():
        features = scripted.forward_features(x)
        assert torch.equal(features, model.forward_features(x))
        values = scripted.forward_head(features, pre_logits=True)
        assert torch.equal(values, model.forward_head(features, True))


def inside(model):
    """The path → value of all a module holds, but for its classifier."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("classifier")}


@pytest.mark.parametrize(
    "options", [{}, {"group_conv": "split"}, {"conventions": "mindcv"}], ids=str
)
def test_a_new_classifier_is_the_one_that_create_makes(options, tmp_path):
    name = "shufflenet_v1_0.5x_g3_cifar"
    model = zoo.create(name, seed=1, **options).eval()
    before = copy.deepcopy(inside(model))
    calls = []
    hook = model.stage2.register_forward_hook(lambda *_: calls.append(1))
    model.stem.requires_grad_(False)
    generator = torch.get_rng_state()
    model.reset_classifier(7, seed=5)
    assert torch.equal(torch.get_rng_state(), generator)
    x = torch.rand(2, 3, 32, 32)
    fresh = zoo.create(name, seed=5, num_classes=7, **options)
    assert model.num_classes == 7
    assert model(x).shape == (2, 7)
    assert calls == [1]
    hook.remove()
    assert type(model.classifier) is nn.Linear
    assert type(model) is type(fresh)
    assert list(model.state_dict()) == list(fresh.state_dict())
    for role, parameter in model.classifier.named_parameters():
        assert torch.equal(parameter, fresh.classifier.get_parameter(role))
        assert parameter.requires_grad
    assert not any(p.requires_grad for p in model.stem.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(inside(model).values(), before.values(), strict=True)
    )
    assert not model.training
    assert not model.classifier.training
    zoo.save(model, tmp_path / "seven.safetensors")
    again = zoo.load(tmp_path / "seven.safetensors").eval()
    assert torch.equal(again(x), model(x))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))
        assert twin.get_classifier() is twin.classifier
        assert twin.get_classifier() is not model.classifier


def test_a_classifier_is_removed_and_put_back(tmp_path):
    model = zoo.create(V2_PLUS, seed=1, dropout=0.3).double().eval()
    x = torch.rand(1, 3, 64, 64).double()
    values = model.forward_head(model.forward_features(x), pre_logits=True)
    model.reset_classifier(0)
    assert model.num_classes == 0
    assert type(model.get_classifier()) is nn.Identity
    assert torch.equal(model(x), values)
    assert not [key for key in model.state_dict() if "classifier" in key]
    bare = zoo.create(V2_PLUS, seed=1, num_classes=0, dropout=0.3)
    assert type(bare) is type(model)
    assert list(bare.state_dict()) == list(model.state_dict())
    model.reset_classifier(4)
    assert model.classifier.weight.dtype == torch.float64
    assert model(x).shape == (1, 4)
    state = model.state_dict()
    assert list(state)[-1] == "classifier.weight"
    assert zoo.get_weights(model).keys() == zoo.spec(V2_PLUS, num_classes=4).graph.parameters.keys()


@pytest.mark.exhaustive
def test_a_compiled_model_goes_on_with_its_new_classifier():
    model = zoo.create(V2, seed=1).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert compiled(x).shape == (2, 10)
        model.reset_classifier(3)
        assert torch.equal(compiled(x), model(x))
        model.reset_classifier(0)
        assert compiled(x).shape == (2, 1024)


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", ["PYNATIVE_MODE", "GRAPH_MODE"])
def test_cells_get_new_classifiers(mode, tmp_path):
    import mindspore as ms

    before = ms.get_context("mode")
    ms.set_context(mode=getattr(ms, mode))
    try:
        x = ms.Tensor(np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32))
        cell = zoo.create(V2, seed=1, backend="mindspore")
        assert cell(x).shape == (2, 10)
        cell.stage2[1].compress.conv.weight.requires_grad = False
        state = np.random.get_state()[1].copy()
        cell.reset_classifier(7, seed=5)
        assert np.array_equal(np.random.get_state()[1], state)
        fresh = zoo.create(V2, seed=5, num_classes=7, backend="mindspore")
        found, expected = cell.classifier.weight, fresh.classifier.weight
        assert np.array_equal(found.asnumpy(), expected.asnumpy())
        assert [p.name for p in cell.get_parameters()] == [p.name for p in fresh.get_parameters()]
        assert type(cell) is type(fresh)
        assert not cell.stage2[1].compress.conv.weight.requires_grad
        assert cell(x).shape == (2, 7)
        zoo.save(cell, tmp_path / "seven.ckpt")
        again = zoo.load(tmp_path / "seven.ckpt", backend="mindspore")
        assert np.array_equal(again(x).asnumpy(), cell(x).asnumpy())
        for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
            assert np.array_equal(twin(x).asnumpy(), cell(x).asnumpy())
            assert twin.num_classes == 7
        cell.reset_classifier(0)
        assert cell(x).shape == (2, cell.head_hidden_size)
        assert type(cell.get_classifier()) is ms.nn.Identity
        cell.reset_classifier(3)
        assert cell(x).shape == (2, 3)
        assert [p.name for p in cell.get_parameters()][-1] == "classifier.weight"
    finally:
        ms.set_context(mode=before)


def test_parameters_keep_the_names_that_they_have_inside_a_users_cell():
    from mindspore import nn as cells

    class Users(cells.Cell):
        def __init__(self):
            super().__init__()
            self.net = zoo.create(V2, backend="mindspore")

        def construct(self, x):
            return self.net(x)

    users = Users()
    before = [p.name for p in users.get_parameters()]
    assert before[-1] == "net.classifier.weight"
    users.net.reset_classifier(3)
    assert [p.name for p in users.get_parameters()] == before


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_bad_classifiers_change_nothing(backend):
    model = zoo.create(V2, backend=backend)
    layer, graph = model.classifier, model.zoo_graph
    with pytest.raises(
        zoo.SpecError, match=r"^num_classes \(=-1\) must be a whole number of at least 0$"
    ):
        model.reset_classifier(-1)
    model.__class__ = type("Wrapped", (type(model),), {})
    message = r"^reset_classifier: the class \(=Wrapped\) must be the one that zoo\.create made; "
    with pytest.raises(zoo.ZooError, match=message):
        model.reset_classifier(3)
    assert model.classifier is layer
    assert model.zoo_graph is graph


def test_graphs_with_other_classes():
    graph = zoo.spec(V2).graph
    for classes in (3, 10):
        assert with_classes(graph, classes) == zoo.spec(V2, num_classes=classes).graph
    bare = without_classifier(graph)
    assert bare == zoo.spec(V2, num_classes=0).graph
    assert with_classes(zoo.spec(V2, num_classes=0).graph, 10) == graph
    assert zoo.cost(V2, num_classes=0).params == zoo.cost(V2).params - 10 * 1024
