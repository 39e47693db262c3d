"""Networks onto the Hugging Face Hub: what is there afterwards, and what is refused before."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hub_server import REPO, SMALL, same, written
from typer.testing import CliRunner

import zoo
from weights.pretrained import IMAGENET
from zoo import publishing
from zoo.cli import app

QUICK = {"backends": ["torch"], "level": "structure"}


def test_there_and_back(hub_server, tmp_path):
    spec = SMALL.replace(image_size=64, conventions="mindcv")
    written(tmp_path, "mine.safetensors", spec=spec, preprocessing=IMAGENET)
    net = zoo.load(tmp_path / "mine.safetensors", backend="torch")
    place = zoo.push_to_hub(net, REPO, backends=["torch"], license="MIT", private=True)
    (commit,) = hub_server.repositories[REPO]["refs"].values()
    assert place == f"hf-hub:{REPO}@{commit}"
    files = hub_server.repositories[REPO]["commits"][commit]
    assert set(files) == {"README.md", "model.safetensors", "parity.json", "spec.json"}
    assert zoo.spec_from_json(files["spec.json"].decode()) == spec
    report = json.loads(files["parity.json"])
    assert report["level"] == "forward"
    # Weights that were drawn may not show all: that is on the page too.
    assert "failed" not in {finding["status"] for finding in report["findings"]} != set()
    assert report["spec"]["sha256"] == spec.sha256
    page = files["README.md"].decode()
    assert page.startswith("---\nlibrary_name: parity-zoo\npipeline_tag: image-classification\n")
    assert "- pytorch\nlicense: mit\n---\n" in page
    assert f"{zoo.cost(spec).params:,} parameters" in page
    assert f'zoo.load("hf-hub:{REPO}", backend="torch")' in page
    assert str(IMAGENET) in page
    assert "forward" in page
    back = zoo.load_weights(place)
    assert back.spec == spec
    assert same(back, zoo.get_weights(net))
    assert back.preprocessing == IMAGENET


def test_again_and_from_the_command_line(hub_server, tmp_path):
    _, wanted = written(tmp_path, "mine.safetensors")
    first = zoo.push_to_hub(tmp_path / "mine.safetensors", REPO, **QUICK)
    args = ["push", str(tmp_path / "mine.safetensors"), f"{REPO}@next"]
    done = CliRunner().invoke(app, [*args, "--backends", "torch", "--level", "structure"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith(f"pushed: zoo.load('hf-hub:{REPO}@")
    assert same(zoo.load_weights(f"hf-hub:{REPO}@next"), wanted)
    assert same(zoo.load_weights(first), wanted)


@pytest.mark.parametrize(
    ("model", "repo", "options", "message"),
    [
        ("resnet9", REPO, {}, "weights must be given: a network without any has nothing to share"),
        ("resnet9", "net", {}, "hf-hub:net: must be like hf-hub:owner/repo[@revision][/file]"),
        ("resnet9", f"{REPO}/a", {}, f"hf-hub:{REPO}/a: must be like owner/repo: it gets several"),
    ],
)
def test_what_is_refused(hub_server, model, repo, options, message):
    with pytest.raises(zoo.WeightsError) as error:
        zoo.push_to_hub(model, repo, **QUICK, **options)
    assert str(error.value).startswith(message)
    assert not hub_server.requests


def test_without_a_right(hub_server, monkeypatch, tmp_path):
    written(tmp_path, "mine.safetensors")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(zoo.WeightsError) as error:
        zoo.push_to_hub(tmp_path / "mine.safetensors", REPO, **QUICK)
    assert str(error.value) == (
        f"hf-hub:{REPO}: not allowed; it takes a token (hf auth login, or HF_TOKEN)"
    )
    assert not hub_server.repositories


def test_what_diverges_is_not_sent(hub_server, monkeypatch):
    """A ReLU that lets through some of what is negative, in PyTorch."""
    net = zoo.create(SMALL.replace(image_size=64), backend="numpy")
    found = {name: np.array(a) for name, a in zoo.get_weights(net).items()}
    whole = torch.nn.functional.relu
    monkeypatch.setattr(torch.nn.functional, "relu", lambda x, *a, **k: whole(x) + 0.01 * x)
    monkeypatch.setattr(torch.nn.ReLU, "forward", lambda self, x: whole(x) + 0.01 * x)
    with pytest.raises(zoo.ZooError, match=rf"hf-hub:{REPO}: not pushed: .*diverges"):
        zoo.push_to_hub(SMALL.replace(image_size=64), REPO, weights=found, backends=["torch"])
    assert not hub_server.requests


def test_the_table_is_what_is_installed(monkeypatch):
    real = publishing.engines.load

    def load(name):
        if name == "mindspore":
            raise zoo.BackendNotInstalledError("no")
        return real(name)

    monkeypatch.setattr(publishing.engines, "load", load)
    assert publishing._at_the_table(None) == ["torch"]
    assert publishing._at_the_table(("numpy",)) == ["numpy"]
