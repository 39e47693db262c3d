"""Models in the hands of their framework's own tools: hooks, surgery, copies, scripts, traces."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from catalog_rows import EACH_KIND
from torch import nn

import weights
import zoo
from zoo.arch import Graph, Node
from zoo.arch.operators import Add, BatchNorm2d, Concat, Conv2d, ReLU, Slice
from zoo.errors import GraphError

NETWORKS = ["resnet9", "shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_0.5x_cifar"]
FORMS = [
    *((name, {}) for name in NETWORKS),
    ("shufflenet_v2_plus_small", {}),
    ("shufflenet_v1_0.5x_g3", dict(conventions="mindcv")),
    ("shufflenet_v2_0.5x_cifar", dict(conventions="mindcv")),
    ("shufflenet_v1_0.5x_g3_cifar", dict(group_conv="split")),
    ("shufflenet_v1_0.5x_g3_cifar", dict(optimize=True)),
    ("shufflenet_v2_0.5x_cifar", dict(optimize=True)),
    ("shufflenet_v2_0.5x_cifar", dict(outputs=["stage2", "stem.bn", "stage4.0.compress.relu"])),
]
STAGED = "shufflenet_v2_0.5x_cifar"
FEW = {"stage_repeats": (2, 2, 1)}


def size_of(name):
    return min(zoo.spec(name).image_size, 64)


@pytest.fixture(params=FORMS, ids=str)
def form(request):
    return request.param


def made(name, options):
    model = zoo.create(name, seed=1, **options).eval()
    images = torch.rand(2, 3, size_of(name), size_of(name), generator=torch.manual_seed(0))
    return model, images


def tensors(result):
    return result if isinstance(result, tuple) else (result,)


COPIES = {
    "jit.script": lambda model, x: torch.jit.script(model),
    "jit.trace": torch.jit.trace,
    "fx.symbolic_trace": lambda model, x: torch.fx.symbolic_trace(model),
    "inside another, traced": lambda model, x: torch.fx.symbolic_trace(nn.Sequential(model)),
    "deepcopy": lambda model, x: copy.deepcopy(model),
    "pickle": lambda model, x: pickle.loads(pickle.dumps(model)),
    "export": lambda model, x: torch.export.export(model, (x,)).module(),
    "compile": lambda model, x: torch.compile(model, backend="eager", fullgraph=True),
}


@pytest.mark.sweep(quick=["*v2_0.5x_cifar', {})-*"])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", COPIES)
def test_what_pytorch_makes_of_a_model_computes_the_same_bits(form, way):
    model, x = made(*form)
    with torch.no_grad():
        expected = tensors(model(x))
        found = tensors(COPIES[way](model, x)(x))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3", "*v2_0.5x", "*v2_50", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_names_are_those_of_the_graph(name):
    model = zoo.create(name)
    names = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    assert names == list(zoo.spec(name).graph.parameters)
    assert not any(isinstance(m, torch.fx.GraphModule) for m in model.modules())


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("conventions", ["mindcv", "megvii"])
def test_one_recording_serves_images_of_all_sizes(conventions):
    model = zoo.create("shufflenet_v1_0.5x_g3", conventions=conventions).eval()
    x, y = torch.rand(2, 3, 64, 64), torch.rand(3, 3, 97, 75)
    sizes = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    exported = torch.export.export(model, (x,), dynamic_shapes=(sizes,)).module()
    traced = torch.jit.trace(model, x, check_trace=False) if conventions == "megvii" else exported
    with torch.no_grad():
        for found in (exported, traced):
            assert torch.equal(found(x), model(x))
            assert torch.equal(found(y), model(y))


@pytest.mark.filterwarnings("ignore")
def test_the_older_onnx_exporter():
    import onnxruntime

    model, x = made("shufflenet_v1_0.5x_g3", {})
    file = io.BytesIO()
    axes = {"x": {0: "n", 2: "h", 3: "w"}}
    torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    session = onnxruntime.InferenceSession(file.getvalue())
    for images in (x, torch.rand(3, 3, 51, 80)):
        expected = model(images).detach()
        (found,) = session.run(None, {"x": images.numpy()})
        assert (torch.tensor(found) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_check_of_the_input_is_there_where_images_are_and_not_where_code_is_recorded():
    model, x = made(STAGED, {})
    with pytest.raises(zoo.InputError, match=r"channels \(=1\) must be 3"):
        model(x[:, :1])
    with pytest.raises(zoo.InputError, match=r"rank \(=3\) must be 4"):
        nn.Sequential(copy.deepcopy(model))(x[0])
    with pytest.raises(RuntimeError, match="expected input"):
        torch.fx.symbolic_trace(model)(x[:, :1])


def test_scopes_are_modules_that_can_be_called_hooked_cut_and_replaced():
    model, x = made(STAGED, {})
    seen = {}
    for name in ("stem", "stage2", "stage3.1", "stage4.0.shortcut", "last"):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: out.detach().clone()})
        )
    expected = model(x)
    outputs = dict(zip(seen, zoo.create(STAGED, seed=1, outputs=list(seen)).eval()(x), strict=True))
    assert all(torch.equal(seen[name], outputs[name]) for name in seen)
    assert torch.equal(model.stage2(seen["stem"]), seen["stage2"])
    cut = nn.Sequential(*list(model.children())[:-2])
    assert torch.equal(cut(x), seen["last"])

    assert type(model.stage4[-1].compress.conv) is nn.Conv2d
    model.stage4[-1].compress.conv = nn.Conv2d(*[model.stage4[-1].compress.conv.in_channels] * 2, 1)
    assert not torch.equal(model(x), expected)
    model.classifier = nn.Linear(model.classifier.in_features, 7)
    assert model(x).shape == (2, 7)
    model.classifier = nn.Linear(3, 7)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(x)


def test_a_block_that_is_called_leaves_what_it_is_given_alone():
    model, _ = made("resnet9", {})
    with torch.no_grad():
        for name, block in model.named_modules():
            if name.count(".") == 0 and name.startswith(("conv", "res")):
                channels = next(p for p in block.parameters() if p.dim() == 4).shape[1]
                given = torch.randn(1, channels, 8, 8)
                before = given.clone()
                block(given)
                assert torch.equal(given, before), name


def test_copies_keep_attributes_and_hooks():
    model, x = made(STAGED, {})
    model.note, model.stage2.note = "mine", ["too"]
    calls = []
    model.stage3.register_forward_hook(calls_of(calls))
    for twin in (copy.deepcopy(model), copy.copy(model)):
        twin(x)
        assert (twin.note, twin.stage2.note) == ("mine", ["too"])
    assert twin.zoo_graph is model.zoo_graph
    del model.stage3._forward_hooks
    assert len(calls) == 2
    model.stage3 = nn.Identity()
    pickled = pickle.loads(pickle.dumps(model.stage2))
    assert pickled.note == ["too"]


def calls_of(calls):
    return lambda *_: calls.append(1)


def test_pickles_open_in_another_process(tmp_path):
    model, x = made(STAGED, {})
    torch.save((model, x, model(x)), tmp_path / "model.pt")
    code = (
        "import sys, torch; m, x, y = torch.load(sys.argv[1], weights_only=False);"
        "assert torch.equal(m(x), y) and m.stage2[0](torch.rand(1, 24, 8, 8)).dim() == 4;"
        "torch.jit.script(m); import zoo; print(len(zoo.get_weights(m)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "model.pt")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) == len(zoo.spec(STAGED).graph.parameters)


def test_units_of_two_networks_are_of_one_class_if_they_are_alike():
    first, second = zoo.create(STAGED, seed=1), zoo.create(STAGED, seed=2)
    assert type(first) is type(second)
    torch.func.stack_module_state([first, second])
    units = {type(unit).__name__ for stage in (first.stage2, first.stage3) for unit in stage}
    assert units == {"ShuffleNetV2DownUnit", "ShuffleNetV2Unit"}
    lines = str(first).splitlines()
    assert "ShuffleNetV2(" in lines[0]
    assert max(map(len, lines)) < 120


def conv(out_channels=4):
    return Conv2d(
        in_channels=4, out_channels=out_channels, kernel_size=(1, 1), stride=(1, 1),
        padding=(0, 0, 0, 0), bias=True,
    )  # fmt: skip


# Scopes that are no calls: what each reads of the others goes in circles, or ends in the middle.
WOVEN = {
    "two scopes in a circle": (
        ("a.0", conv(), ("input",)),
        ("b.0", conv(), ("a.0",)),
        ("a.1", conv(), ("b.0",)),
        ("b.inner.conv", conv(), ("a.1",)),
        ("b.inner.relu", ReLU(), ("b.inner.conv",)),
    ),
    "a scope that is left from the middle": (
        ("a.conv", conv(), ("input",)),
        ("a.relu", ReLU(), ("a.conv",)),
        ("a.more.conv", conv(), ("a.relu",)),
        ("join", Concat(), ("a.relu", "a.more.conv", "a.conv")),
        ("end.conv", conv(), ("a.more.conv",)),
        ("part", Slice(start=1, stop=5), ("join",)),
        ("sum", Add(), ("part", "end.conv")),
    ),
    "independent layers, and a scope without any": (
        ("cut.0", Slice(start=0, stop=1), ("input",)),
        ("cut.1", Slice(start=1, stop=4), ("input",)),
        ("cut.join.concat", Concat(), ("cut.1", "cut.0")),
        ("convs.0", conv(), ("cut.join.concat",)),
        ("convs.1", conv(), ("cut.join.concat",)),
        ("convs.2", BatchNorm2d(num_features=4, eps=1e-3, momentum=0.2), ("input",)),
        ("x", Concat(), ("convs.1", "convs.0", "convs.2", "input")),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("case", WOVEN)
def test_scopes_that_are_no_calls(backend, case):
    import backends

    rows = tuple(Node(*row) for row in WOVEN[case])
    graph = Graph(4, (5, 6), rows, (rows[-1].name, "input", rows[1].name))
    given = weights.randomize(graph)
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)).astype(np.float32)
    found = []
    for name in ("numpy", backend):
        engine = backends.load(name)
        model = engine.build(graph)
        engine.set_parameters(model, given)
        found.append(engine.predict(model, x))
        assert list(engine.get_parameters(model)) == list(graph.parameters)
    for there, here in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-5, atol=2e-5)
    if backend == "torch":
        with torch.no_grad():
            scripted = torch.jit.script(model)(torch.from_numpy(x))
        assert all(np.array_equal(a, b) for a, b in zip(scripted, found[1], strict=True))


def test_a_layer_and_a_scope_of_one_name_are_refused():
    import backends

    rows = (Node("a.b", conv(), ("input",)), Node("a", conv(), ("a.b",)))
    with pytest.raises(GraphError, match=r"^a: a node with parameters cannot be a scope as well$"):
        backends.load("torch").build(Graph(4, (5, 5), rows, ("a",)))


@pytest.mark.sweep(quick=["PYNATIVE_MODE"])
@pytest.mark.parametrize("mode", ["PYNATIVE_MODE", "GRAPH_MODE"])
def test_cells_that_are_replaced_are_used_and_trained(mode):
    import mindspore as ms
    from mindspore import nn as cells

    before = ms.get_context("mode")
    ms.set_context(mode=getattr(ms, mode))
    try:
        x = ms.Tensor(np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32))
        expected = zoo.create(STAGED, backend="mindspore", **FEW)(x)
        cell = zoo.create(STAGED, backend="mindspore", **FEW)
        assert np.array_equal(cell(x).asnumpy(), expected.asnumpy())
        cell.classifier = cells.Dense(cell.classifier.in_channels, 7)
        cell.stage2[1].compress.conv = cells.Conv2d(24, 24, 1, weight_init="ones")
        cell.stage3[0] = copy.deepcopy(cell.stage3[0])
        found = cell(x)
        assert found.shape == (2, 7)
        new = [cell.classifier.weight, cell.stage2[1].compress.conv.weight]

        def loss(images):
            return cell(images).sum()

        for gradient in ms.grad(loss, None, weights=ms.ParameterTuple(new))(x):
            assert np.abs(gradient.asnumpy()).max() > 0
    finally:
        ms.set_context(mode=before)


def test_cells_inside_a_users_cell_are_copied(graph_mode):
    import mindspore as ms
    from mindspore import nn as cells

    class Users(cells.Cell):
        def __init__(self):
            super().__init__()
            self.net = zoo.create(STAGED, backend="mindspore", **FEW)

        def construct(self, x):
            return self.net(x) * 2

    x = ms.Tensor(np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32))
    users = Users()
    users.net.note = "mine"
    expected = users(x).asnumpy()
    twin = copy.deepcopy(users)
    assert twin.net.note == "mine"
    assert np.array_equal(twin(x).asnumpy(), expected)
    twin.net.classifier.weight.set_data(ms.ops.zeros_like(twin.net.classifier.weight))
    assert not np.array_equal(twin(x).asnumpy(), expected)
    assert np.array_equal(users(x).asnumpy(), expected)
