"""The weights that come with the package: files, cards, and what they see on every backend."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKENDS

import backends
import zoo
from weights import pretrained
from weights.pretrained import catalog, download
from zoo.proof.measure import relative_maximum

BOXED = [entry for entry in pretrained.list_pretrained() if entry.packaged]
NAMES = [entry.model for entry in BOXED]


def test_the_box_holds_what_the_catalog_lists_and_cards():
    expected = {
        f"{name}-cifar10{suffix}" for name in NAMES for suffix in (".safetensors", ".md", ".svg")
    }
    assert {path.name for path in download.BUNDLED.iterdir()} == expected
    for entry in BOXED:
        card = (Path(__file__).parents[1] / entry.source).read_text()
        assert f"{entry.top1:.2f} %" in card, "the catalog's accuracy is the card's"
        # neither the recipe nor anything else tells of the machine that it was trained on
        assert "/work" not in card
        assert "/tmp" not in card
        file = pretrained.fetch(entry)
        assert file.stat().st_size < 6e6
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256


@pytest.mark.sweep(quick=["*0.5x_g3_cifar-numpy", "*0.5x_g3_cifar-torch", "*0.5x_g3_cifar-onnx"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_trained_weights_are_the_same_function_on_every_backend(name, backend, monkeypatch, rng):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    x = rng.standard_normal((3, 3, 32, 32)).astype(np.float32)
    exact = zoo.create(name, weights="cifar10", backend="numpy")
    model = zoo.create(name, weights="cifar10", backend=backend)
    (expected,) = backends.load("numpy").predict(exact, x)
    (found,) = backends.load(backend).predict(model, x)
    assert relative_maximum(found, expected) < 5e-6
    # the negative control: the initial weights are another function
    (initial,) = backends.load("numpy").predict(zoo.create(name, backend="numpy"), x)
    assert relative_maximum(initial, expected) > 0.1


@pytest.mark.exhaustive
@pytest.mark.parametrize("entry", BOXED, ids=NAMES)
def test_trained_weights_see_real_images_as_the_card_says(entry):
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with the images")
    images = Path(os.environ["ZOO_DATA"], "cifar10_exact_subset.npz")
    found = zoo.compare(
        "cifar10", images, model=entry.model, backends=("torch", "mindspore", "onnx")
    )
    assert found.identical, found.summary()
    for evaluation in found.evaluations:
        assert evaluation.top1 == pytest.approx(entry.top1, abs=0.005)
        assert evaluation.top5 == pytest.approx(entry.top5, abs=0.005)
        # the file has numbers for classes: the names are the weights'
        assert evaluation.classes == catalog.CIFAR10_CLASSES


def test_a_box_that_is_damaged_or_empty_says_so(tmp_path, monkeypatch):
    entry = replace(BOXED[0], url="package:net.safetensors", sha256="0" * 64)
    monkeypatch.setattr(download, "BUNDLED", tmp_path)
    with pytest.raises(zoo.WeightsError, match=r"net\.safetensors: missing; install the package"):
        pretrained.fetch(entry)
    (tmp_path / "net.safetensors").write_bytes(b"cut off")
    with pytest.raises(zoo.WeightsError, match=r"net\.safetensors: damaged: .*again"):
        pretrained.fetch(entry)
