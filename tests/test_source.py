"""Networks as files: they run by themselves, load checkpoints and compute the same bits."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import weights
import zoo
from zoo.cli import app

FORMS = [
    ("resnet9", {}),
    ("shufflenet_v1_0.5x_g3_cifar", {}),
    ("shufflenet_v1_0.5x_g3", dict(conventions="mindcv")),
    ("shufflenet_v2_0.5x_cifar", {}),
    ("shufflenet_v2_plus_small", {}),
]
BACKENDS = ["torch", "mindspore"]


def opened(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where MindSpore's parser looks for the text
    spec.loader.exec_module(module)
    own = [v for v in vars(module).values() if getattr(v, "__module__", "") == path.stem]
    return own[-1]


@pytest.fixture(params=FORMS, ids=str)
def form(request):
    return request.param


def test_files_of_pytorch_load_checkpoints_strictly_and_compute_the_same_bits(form, tmp_path):
    name, changes = form
    path = zoo.write_source(name, tmp_path / "written_torch.py", **changes)
    spec = zoo.spec(name, **changes)
    given = weights.randomize(spec.graph, 1)
    model = zoo.create(spec, weights=given).eval()
    zoo.save(model, tmp_path / "weights.pth")
    written = opened(path)().eval()
    state = torch.load(tmp_path / "weights.pth")
    found = written.load_state_dict(state, strict=False)
    assert not found.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in found.missing_keys)
    x = torch.rand(2, 3, min(spec.image_size, 64), min(spec.image_size, 64))
    with torch.no_grad():
        assert torch.equal(written(x), model(x))
        written.classifier.weight.zero_()
        assert not torch.equal(written(x), model(x))


@pytest.mark.sweep(quick=["resnet9"])
@pytest.mark.parametrize("name", ["resnet9", "shufflenet_v2_0.5x_cifar"])
def test_files_of_mindspore_load_checkpoints_strictly_and_compute_the_same_bits(
    name, tmp_path, graph_mode
):
    import mindspore as ms

    path = zoo.write_source(name, tmp_path / f"written_{name[:7]}.py", backend="mindspore")
    given = weights.randomize(zoo.spec(name).graph, 1)
    model = zoo.create(name, backend="mindspore", weights=given)
    zoo.save(model, tmp_path / "weights.ckpt")
    written = opened(path)().set_train(False)
    arrays = ms.load_checkpoint(str(tmp_path / "weights.ckpt"))
    assert ms.load_param_into_net(written, arrays, strict_load=True) == ([], [])
    assert [p.name for p in written.get_parameters()] == [p.name for p in model.get_parameters()]
    x = ms.Tensor(np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32))
    assert np.array_equal(written(x).asnumpy(), model(x).asnumpy())


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_are_formatted_and_import_nothing_of_ours(backend, tmp_path):
    for i, (name, changes) in enumerate(FORMS):
        path = zoo.write_source(name, tmp_path / f"n{i}.py", backend=backend, **changes)
        imported = [line for line in path.read_text().splitlines() if "import " in line]
        assert not [line for line in imported if "zoo" in line or "backends" in line]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_a_large_network_is_short():
    from zoo.sources import source

    text = source("shufflenet_v2_2.0x")
    assert len(text.splitlines()) <= 200
    assert "y, x = self.shuffle(x).chunk(2, 1)" in text
    assert "        return x if pre_logits else self.classifier(x)\n" in text
    assert "        return self.forward_head(self.forward_features(x))\n" in text
    assert "ShuffleNetV2DownUnit(24, 244), *(ShuffleNetV2Unit(244) for _ in range(3))" in text


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_files_check_themselves(backend, tmp_path):
    path = zoo.write_source("resnet9", tmp_path / "net.py", backend=backend)
    run = [sys.executable, str(path)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "ResNet9: 6,575,370 parameters, outputs [(1, 10)]\n"
    path.write_text(path.read_text().replace("512, 10", "512, 11"))
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "not the network" in done.stderr


def test_live_models_are_written_as_they_are(tmp_path):
    model = zoo.create("shufflenet_v2_0.5x_cifar", optimize=True)
    path = zoo.write_source(model, tmp_path / "optimized.py")
    written = opened(path)().eval()
    written.load_state_dict(model.state_dict())
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found, expected = written(x), model(x)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    with pytest.raises(zoo.ZooError, match=r"^num_classes cannot be changed in a live model$"):
        zoo.write_source(model, tmp_path / "other.py", num_classes=3)


def test_bad_requests(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("mine")
    with pytest.raises(zoo.ZooError, match=r"net\.py: exists and is kept; force=True"):
        zoo.write_source("resnet9", path)
    assert path.read_text() == "mine"
    with pytest.raises(zoo.ZooError, match=r"the suffix must be \.py$"):
        zoo.write_source("resnet9", tmp_path / "net.txt")
    with pytest.raises(zoo.UnknownNameError, match="unknown backend with code 'numpy'"):
        zoo.write_source("resnet9", tmp_path / "new.py", backend="numpy")
    with pytest.raises(zoo.UnknownNameError, match="unknown backend 'torhc'; did you mean 'torch'"):
        zoo.write_source("resnet9", tmp_path / "new.py", backend="torhc")
    assert not (tmp_path / "new.py").exists()
    zoo.write_source("resnet9", path, force=True)
    assert "class ResNet9" in path.read_text()


def test_on_the_command_line(tmp_path):
    run = CliRunner().invoke
    printed = run(app, ["source", "resnet9", "--set", "num_classes=7"])
    assert "nn.Linear(512, 7)" in printed.stdout
    written = run(app, ["source", "resnet9", "--set", "num_classes=7", "--out", f"{tmp_path}/n.py"])
    assert written.stdout.endswith("n.py: resnet9 in torch; run it to check it\n")
    assert (tmp_path / "n.py").read_text() == printed.stdout
