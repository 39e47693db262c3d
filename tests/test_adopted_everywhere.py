"""Whatever takes a name takes an adopted network: in Python as it is, at prompts its file."""

from __future__ import annotations

import json
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from run_material import CLASSES, RECIPE, SIZE, write_data
from test_adopt import randomized
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

import backends
import zoo
from zoo.cli import app

X = np.random.default_rng(5).standard_normal((3, 3, SIZE, SIZE)).astype(np.float32)


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.SiLU(), nn.Conv2d(4, channels, 1))

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class Block(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.conv = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.gate = Gate(out)
        self.short = nn.Conv2d(inp, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.silu(self.gate(self.norm(self.conv(x))) + self.short(x))


class Neighbor(nn.Module):
    """Three stages of gated residuals, and a second answer from the middle."""

    def __init__(self, second=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(Block(inp, out, 2), Block(out, out, 1))
            for inp, out in ((8, 12), (12, 16), (16, 24))
        )
        self.early = nn.Linear(16, 5) if second else None
        self.head = nn.Linear(24, len(CLASSES))

    def forward(self, x):
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        logits = self.head(maps[-1].mean((2, 3)))
        return logits if self.early is None else (logits, self.early(maps[2].mean((2, 3))))


class Once:
    """A network with what it came from, and files of it."""

    def __init__(self, folder, second):
        torch.manual_seed(1)
        self.module = randomized(Neighbor(second)).eval()
        with torch.no_grad():
            found = self.module(torch.from_numpy(X))
        self.wanted = tuple(t.numpy() for t in (found if second else [found]))
        self.net = zoo.adopt(self.module, example=(2, 3, SIZE, SIZE))
        self.file = folder / f"net{second:d}.safetensors"
        self.data = folder / "data"
        zoo.save(self.net, self.file)

    def same(self, model, limit=5e-6):
        found = backends.backend_of(model).predict(model, X)
        assert len(found) == len(self.wanted)
        for ours, theirs in zip(found, self.wanted, strict=True):
            assert np.abs(ours - theirs).max() < limit * np.abs(theirs).max()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everywhere")
    write_data(folder / "data")
    return {second: Once(folder, second) for second in (False, True)}


def said(*args):
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 0, (done.exception, done.output)
    return done.stdout


# ── What it goes through; each says how what it made shows itself to be the network ──────────────


def saved(made, path):
    for suffix in (".zoo", ".safetensors", ".pth", ".ckpt", ".npz", ".onnx"):
        zoo.save(made.net, path / f"net{suffix}")
        made.same(zoo.load(path / f"net{suffix}", backend="onnx"))
        again = zoo.load_weights(path / f"net{suffix}")
        assert again.spec == made.net.spec
        assert all(np.array_equal(again[name], array) for name, array in made.net.items())


def live(made, path):
    for backend in ("torch", "mindspore"):
        model = zoo.create(made.file, backend=backend)
        zoo.save(model, path / f"{backend}.ckpt")
        made.same(zoo.create(str(path / f"{backend}.ckpt"), backend="torch"))


def exported(made, path):
    for optimize in (False, True):
        zoo.export(made.net, path / "net.onnx", optimize=optimize, force=True)
        session = onnxruntime.InferenceSession(path / "net.onnx")
        for found, theirs in zip(session.run(None, {"input": X}), made.wanted, strict=True):
            np.testing.assert_allclose(found, theirs, rtol=0, atol=5e-6 * np.abs(theirs).max())
        for name in ("torch", "onnx"):
            made.same(zoo.create(made.net, backend=name, optimize=optimize))


def priced(made, path):
    counted = zoo.cost(made.net)
    used = {name.rpartition(".")[0] for name in made.net}
    parameters = [p.numel() for n, p in made.module.named_parameters()]
    assert counted == zoo.cost(str(made.file)) == zoo.cost(made.net.graph)
    assert counted.params == sum(parameters)
    assert {row.name for row in counted.nodes if row.params} == used


def benchmarked(made, path):
    report = zoo.benchmark(made.net, backends=["numpy"], batches=[1], seconds=0.01, optimize=False)
    (row,) = report.measurements
    assert row.error < 1e-6
    assert report.model == f"Neighbor_{made.net.spec.sha256[:8]}"


def proven(made, path):
    report = zoo.parity(made.net, backends=["original", "torch", "onnx"], level="forward")
    assert not report.failures
    assert zoo.parity(made.file, backends=["numpy"], weights=made.file).findings


def written(made, path):
    for backend in ("torch", "mindspore"):
        zoo.write_source(made.net, path / f"their_{backend}.py", backend=backend)
    space: dict = {"__name__": "alone"}
    exec(compile((path / "their_torch.py").read_text(), "alone", "exec"), space)
    module = space["Neighbor"]().eval()
    module.load_state_dict(made.module.state_dict(), strict=True)
    with torch.no_grad():
        found = module(torch.from_numpy(X))
    for ours, theirs in zip(
        found if isinstance(found, tuple) else (found,), made.wanted, strict=True
    ):
        torch.testing.assert_close(ours.numpy(), theirs, rtol=0, atol=1e-5)


def converted(made, path):
    torch.save(made.module.state_dict(), path / "theirs.pth")  # names alone, no spec
    there = zoo.convert(path / "theirs.pth", path / "there.ckpt", model=made.net)
    back = zoo.convert(path / "there.ckpt", path / "back.safetensors")
    assert there.error == back.error == 0
    assert back.spec == made.net.spec
    made.same(zoo.load(path / "back.safetensors"))


def seen(made, path):
    info = made.net.spec.feature_info
    model = zoo.create(made.net, features_only=True)
    with torch.no_grad():
        stem = made.module.stem(torch.from_numpy(X))
        maps = [stem]
        for stage in made.module.stages:
            maps.append(stage(maps[-1]))
        found = model.eval()(torch.from_numpy(X))
    assert [m.shape[1] for m in found] == info.channels() == [8, 12, 16, 24]
    for ours, theirs in zip(found, maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    part = zoo.create(made.net, outputs="stages.1")
    with torch.no_grad():
        torch.testing.assert_close(part.eval()(torch.from_numpy(X)), maps[2], rtol=0, atol=2e-5)


def changed(made, path):
    for backend in ("torch", "mindspore"):
        model = zoo.create(made.net, backend=backend, num_classes=3, in_channels=1, adapt=True)
        engine = backends.backend_of(model)
        assert engine.predict(model, X[:, :1])[0].shape == (3, 3)
        held = engine.get_parameters(model)
        np.testing.assert_array_equal(
            held["stages.0.0.conv.weight"], made.net["stages.0.0.conv.weight"]
        )
        np.testing.assert_allclose(
            held["stem.weight"], made.net["stem.weight"].sum(1, keepdims=True), rtol=1e-6
        )
    model = zoo.create(made.net)
    model.reset_classifier(4)
    found = model.eval()(torch.from_numpy(X))
    assert (found[0] if isinstance(found, tuple) else found).shape == (3, 4)


BOTH = (saved, live, exported, priced, benchmarked, proven, written, converted, seen)


@pytest.mark.sweep(quick=["[ecpsw]*-one", "exported-two", "seen-two"])
@pytest.mark.parametrize("second", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("use", BOTH, ids=lambda use: use.__name__)
def test_it_goes_where_a_name_goes(use, second, made, tmp_path):
    use(made[second], tmp_path)


def test_its_head_and_its_channels_can_be_others(made, tmp_path):
    changed(made[False], tmp_path)


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_it_is_trained_and_evaluated(backend, made, tmp_path):
    once = made[False]
    recipe = RECIPE.replace(epochs=1, overrides={})
    run = zoo.train(
        recipe, once.data, tmp_path / "run", backend=backend, network=once.net, workers=0
    )
    assert run.recipe.spec == once.net.spec
    assert zoo.Recipe.from_json(run.recipe.to_json()) == run.recipe
    trained = zoo.load_weights(run.best.model)
    assert trained.spec == once.net.spec
    moved = {n for n, a in once.net.items() if not np.array_equal(a, trained[n])}
    assert moved == set(once.net)
    found = zoo.evaluate(run.path, once.data, workers=0)
    again = zoo.evaluate(trained, once.data, recipe=run.recipe, workers=0)
    assert found.loss == pytest.approx(again.loss, rel=1e-6)
    other = zoo.evaluate(once.net, once.data, recipe=run.recipe, workers=0)
    assert other.loss != pytest.approx(found.loss, rel=1e-3)


@pytest.mark.exhaustive
def test_it_is_quantized(made, tmp_path):
    once = made[False]
    report = zoo.quantize(
        once.net, tmp_path / "net.onnx", calibration=once.data / "train", exclude=()
    )
    assert report.costs.agreement.top1 > 0.5
    assert report.model.startswith("Neighbor_")


# ── Names that others like ──

SCOPES = ("f", "tensor", "any", "none", "1x1", "stochastic_depth", "nn", "list")


class Named(nn.Module):
    """Blocks that differ, each called as a class in the written code could not be."""

    def __init__(self):
        super().__init__()
        for i, scope in enumerate(SCOPES):
            self.add_module(scope, Block(3 if not i else 8 + i, 9 + i, 1))
            self.get_submodule(scope).short = nn.Conv2d(3 if not i else 8 + i, 9 + i, 1)

    def forward(self, x):
        for scope in SCOPES:
            x = self.get_submodule(scope)(x)
        return x


@pytest.mark.sweep(quick=["net", "none", "3d net"])
@pytest.mark.parametrize("called", ["net", "nn", "none", "3d net", 'a"""b\n\\', "Ü", "f"])
def test_networks_are_called_as_they_like(called, tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    net = zoo.adopt(module, example=(2, 3, 8, 8), name=called)
    with torch.no_grad():
        wanted = module(torch.from_numpy(X)).numpy()
    for backend in ("torch", "mindspore"):
        model = zoo.create(net, backend=backend)
        np.testing.assert_allclose(
            backends.backend_of(model).predict(model, X)[0], wanted, rtol=0, atol=1e-5
        )
        file = zoo.write_source(net, tmp_path / "alone.py", backend=backend, force=True)
        compile(file.read_text(), "alone", "exec")


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_blocks_are_called_as_they_like(backend):
    module = randomized(Named()).eval()
    net = zoo.adopt(module, example=(2, 3, 8, 8))
    x = X[:2, :, :8, :8].copy()
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    model = zoo.create(net, backend=backend)
    found = backends.backend_of(model).predict(model, x)[0]
    assert np.abs(found - wanted).max() < 5e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["", 'a"""', "a b", "x" * 101, "é", 3])
def test_a_name_that_would_be_code_is_refused(name, made):
    fields = json.loads(made[False].net.spec.to_json()) | {"name": name}
    with pytest.raises(zoo.SpecError, match="must be letters, digits, and any of"):
        zoo.spec_from_json(json.dumps(fields))


# ── At prompts ───────────────────────────────────────────────────────────────────────────────────


def test_every_command_takes_its_file(made, tmp_path):
    once = made[False]
    net, out = once.file, tmp_path
    assert "stages" in said("info", net)
    assert "Neighbor (graph)" in said("inspect", net)
    assert "Neighbor_" in said("parity", net, "--backends", "torch")
    text = said("export", net, "--out", out / "net.onnx")
    assert "initial ones" not in text
    assert "class Neighbor(nn.Module)" in said("source", net)
    assert "verified" in said("convert", net, out / "net.ckpt")
    assert "verified" in said("convert", out / "net.ckpt", out / "net.pth", "--model", net)
    run = out / "run"
    (out / "recipe.json").write_text(RECIPE.replace(epochs=1, overrides={}).to_json())
    said("train", out / "recipe.json", "--data", once.data, "--out", run,
         "--set", f"network={net}")  # fmt: skip
    assert "top-1" in said("evaluate", run, "--data", once.data)
    assert "top-1" in said("evaluate", net, "--data", once.data, "--recipe", out / "recipe.json")
    assert json.loads((run / "recipe.json").read_text())["network"]["name"] == "Neighbor"


@pytest.mark.exhaustive
def test_commands_that_take_their_time_take_its_file(made, tmp_path):
    once = made[False]
    net, out = once.file, tmp_path
    text = said("quantize", net, "--calibration", once.data / "train", "--out", out / "8.onnx",
                "--exclude", "none")  # fmt: skip
    assert "initial ones" not in text
    said("bench", net, "--backends", "numpy", "--batch", "1", "--seconds", "0.01")


def test_a_network_that_was_adopted_at_a_prompt_is_one(made, tmp_path, monkeypatch):
    once = made[False]
    (tmp_path / "theirs_of_a_prompt.py").write_text(
        "import torch\n\n\ndef make(classes=3):\n"
        "    torch.manual_seed(classes)\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, classes, 1), torch.nn.ReLU())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    net = tmp_path / "net.zoo"
    text = said("adopt", "theirs_of_a_prompt:make", "--set", "classes=4", "--example", "2,3,16,16",
                "--out", net)  # fmt: skip
    assert text.startswith("make: torch module, 2 nodes, 2 arrays\n16 parameters")
    torch.manual_seed(4)
    wanted = nn.Conv2d(3, 4, 1).weight.detach().numpy()
    np.testing.assert_array_equal(zoo.load_weights(net)["0.weight"], wanted)
    later = {"0.weight": torch.ones(4, 3, 1, 1), "0.bias": torch.zeros(4)}
    torch.save(later, tmp_path / "later.pth")
    said("adopt", net, "--weights", tmp_path / "later.pth", "--out", tmp_path / "later.ckpt")
    assert zoo.load_weights(tmp_path / "later.ckpt")["0.weight"].sum() == 12
    zoo.export(once.net, tmp_path / "net.onnx", optimize=True)
    text = said("adopt", tmp_path / "net.onnx", "--example", f"2,3,{SIZE},{SIZE}",
                "--out", tmp_path / "onnx.zoo")  # fmt: skip
    assert "onnx file" in text
    once.same(zoo.load(tmp_path / "onnx.zoo"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("info", "nothing.zoo"), "nothing.zoo: no such file"),
        (("adopt", "nothing.zoo", "--out", "x.zoo"), "nothing.zoo: no such file"),
        (("adopt", "json:loads", "--out", "x.txt"), "x.txt: the suffix must be one of "),
        (
            ("adopt", "json:loads", "--out", "x.zoo", "--example", "2,3,a"),
            "--example: '2,3,a' must be whole numbers, comma-separated",
        ),
    ],
)
def test_what_is_no_network_is_told(args, message):
    done = CliRunner().invoke(app, args)
    assert message in str(done.exception)


def test_a_file_of_a_network_from_elsewhere_says_how_it_becomes_ours(made, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is another exporter
        torch.onnx.export(
            made[False].module, (torch.from_numpy(X),), tmp_path / "theirs.onnx", dynamo=False
        )
    with pytest.raises(zoo.WeightsError, match=r"zoo adopt \S*theirs.onnx makes a file of ours"):
        zoo.create(tmp_path / "theirs.onnx")


# ── Ports ────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_of_a_file_says_what_it_was_proven_against(made, tmp_path):
    once = made[False]
    done = zoo.port(zoo.load_weights(once.file), tmp_path / "ours", level="forward")
    assert done.passed
    assert {f.backend for f in done.report.findings} == {"torch"}
    assert "those\nof the float64 reference" in (done.folder / "README.md").read_text()
    zoo.export(once.net, tmp_path / "net.onnx", optimize=True)
    done = zoo.port(tmp_path / "net.onnx", tmp_path / "theirs", level="forward",
                    example=(2, 3, SIZE, SIZE))  # fmt: skip
    assert done.passed
    assert done.error < 5e-6
    assert "those\nof the file in ONNX Runtime" in (done.folder / "README.md").read_text()


def test_a_port_of_what_was_changed_meanwhile_fails_by_name(made, tmp_path):
    module = Neighbor().eval()
    net = zoo.adopt(module, example=(2, 3, SIZE, SIZE))
    assert zoo.port(net, tmp_path / "same", level="structure").passed
    with torch.no_grad():
        module.stages[1][0].norm.bias[3] += 0.5
    done = zoo.port(net, tmp_path / "other", level="structure")
    assert not done.passed
    assert done.changed == ("stages.1.0.norm.bias",)
    told = "diverges at stages.1.0.norm.bias: changed since it was adopted"
    assert told in done.summary()
    assert told in (done.folder / "README.md").read_text()
    assert done.error > 1e-4
    assert done.report.passed  # under drawn weights they are still one network
