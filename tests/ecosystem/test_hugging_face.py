"""Files and folders as Hugging Face's libraries write and read them; nothing leaves the machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ecosystem_material import FEW_UNITS, NETWORKS, V1, images, made
from huggingface_hub import PyTorchModelHubMixin
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn

import zoo


@pytest.mark.parametrize("name", NETWORKS)
def test_our_files_load_strictly_by_their_library(name, tmp_path):
    model, other, x = made(name), zoo.create(name, seed=9).eval(), images()
    zoo.save(model, tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert not torch.equal(other(x), model(x))
    other.load_state_dict(state, strict=True)
    assert torch.equal(other(x), model(x))
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert file.metadata()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("way", ["save_model", "save_file"])
def test_their_files_are_read_by_us(name, way, tmp_path):
    model, x = made(name), images()
    file = tmp_path / "net.safetensors"
    if way == "save_model":
        save_model(model, file)
        other = zoo.create(name, seed=9).eval()
        assert load_model(other, file) == (set(), [])
        assert torch.equal(other(x), model(x))
    else:
        save_file(model.state_dict(), file)
    read = zoo.create(name, weights=file).eval()
    assert torch.equal(read(x), model(x))


class Published(nn.Module, PyTorchModelHubMixin):
    """What a user publishes: one of our networks, and a layer of his own."""

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__()
        self.net = zoo.create(name, num_classes=num_classes, **FEW_UNITS)
        self.calibration = nn.Linear(num_classes, num_classes)

    def forward(self, x):
        return self.calibration(self.net(x))


def test_the_mixin_of_the_hub(tmp_path):
    model, x = Published(V1, num_classes=7).eval(), images()
    weights = zoo.get_weights(model.net)
    zoo.set_weights(model.net, {name: array * 1.25 for name, array in weights.items()})
    model.save_pretrained(tmp_path)
    read = Published.from_pretrained(tmp_path).eval()
    assert torch.equal(read(x), model(x))
    assert read(x).shape == (2, 7)
    found = zoo.get_weights(read.net)
    assert all(np.array_equal(found[name], array * 1.25) for name, array in weights.items())
