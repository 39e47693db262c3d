"""Networks without a classifier (num_classes=0): cut from any family, stored, read, proven."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from conftest import BACKENDS

import backends
import weights
import zoo
from zoo.arch.features import feature_info
from zoo.proof.measure import relative_maximum

V1 = "shufflenet_v1_0.5x_g3_cifar"
V2 = "shufflenet_v2_0.5x_cifar"
V2_PLUS = "shufflenet_v2_plus_small"
FAMILIES = [V1, V2, V2_PLUS, "resnet9"]


def bare(name, **changes):
    """Return a network without a classifier at random weights."""
    spec = zoo.spec(name, num_classes=0, **changes)
    return zoo.create(spec, weights=weights.randomize(spec.graph, 1)).eval()


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3", "*v2_0.5x", "*plus_small"])
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_network_is_cut_where_its_classifier_reads(name):
    whole, spec = zoo.spec(name), zoo.spec(name, num_classes=0)
    left = [name for name in whole.graph.parameters if name not in spec.graph.parameters]
    assert {name.partition(".")[0] for name in left} == {"classifier"}
    assert zoo.spec_from_json(spec.to_json()) == spec
    head = whole.graph.parameters["classifier.weight"].shape
    values = sum(int(np.prod(whole.graph.parameters[name].shape)) for name in left)
    assert zoo.cost(name).params - zoo.cost(name, num_classes=0).params == values
    assert spec.graph.shapes()[spec.graph.outputs[0]] == (1, head[1])
    assert feature_info(spec.graph) == feature_info(whole.graph)
    again = spec.replace(num_classes=whole.num_classes)
    assert again == whole
    assert again.graph == whole.graph


@pytest.mark.sweep(
    quick=[
        "shufflenet_v1_0.5x_g3_cifar-numpy",
        "shufflenet_v1_0.5x_g3_cifar-torch",
        "shufflenet_v1_0.5x_g3_cifar-onnx",
    ]
)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [V1, V2_PLUS])
def test_every_backend_returns_what_a_classifier_would_read(name, backend, rng, graph_mode):
    given = weights.randomize(zoo.spec(name).graph, 1)
    size = min(zoo.spec(name).image_size, 64)
    x = rng.standard_normal((2, 3, size, size)).astype(np.float32)
    part = zoo.create(name, weights=given, backend="numpy", outputs=[pre_logits(name)])
    model = zoo.create(
        name, backend=backend, num_classes=0,
        weights={k: v for k, v in given.items() if not k.startswith("classifier")},
    )  # fmt: skip
    engine = backends.load(backend)
    (found,) = engine.predict(model, x)
    assert relative_maximum(found, part(x)) < 2e-5
    assert model.num_classes == 0
    assert model.head_hidden_size == found.shape[1]


def pre_logits(name):
    return zoo.spec(name).graph.by_name["classifier"].inputs[0]


@pytest.mark.sweep(quick=["shufflenet_v1_0.5x_g3_cifar-*"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth", "ckpt", "onnx", "npz"])
@pytest.mark.parametrize("name", FAMILIES)
def test_files_tell_that_there_is_none(name, suffix, tmp_path):
    model = bare(name)
    zoo.save(model, tmp_path / f"bare.{suffix}")
    found = zoo.load_weights(tmp_path / f"bare.{suffix}")
    assert found.spec == model.zoo_graph.origin
    assert "no classifier" in found.summary()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(zoo.load(tmp_path / f"bare.{suffix}").eval()(x), model(x))


@pytest.mark.sweep(quick=["shufflenet_v2_0.5x_cifar"])
@pytest.mark.parametrize("name", [*FAMILIES, "shufflenet_v1_1.0x_g8", "shufflenet_v2_50"])
def test_files_that_do_not_tell_are_believed_where_none_is_expected(name, tmp_path):
    model = bare(name)
    torch.save(model.state_dict(), tmp_path / "state.pth")
    with pytest.raises(zoo.WeightsError, match=r"classifier\.weight: missing"):
        zoo.load_weights(tmp_path / "state.pth")
    found = zoo.load_weights(tmp_path / "state.pth", model=model.zoo_graph.origin)
    assert found.spec == model.zoo_graph.origin
    again = zoo.create(name, weights=tmp_path / "state.pth", num_classes=0).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    state = model.state_dict()
    first = next(iter(state))
    del state[first]
    torch.save(state, tmp_path / "state.pth")
    with pytest.raises(zoo.WeightsError, match=rf"{first}: missing|names|of no network"):
        zoo.load_weights(tmp_path / "state.pth", model=model.zoo_graph.origin)


def test_a_classifier_that_a_file_has_is_left_out(tmp_path, caplog):
    given = weights.randomize(zoo.spec("resnet9").graph, 1)
    whole = zoo.create("resnet9", weights=given).eval()
    zoo.save(whole, tmp_path / "whole.pth")
    with caplog.at_level(logging.INFO, "zoo"):
        model = zoo.create("resnet9", weights=tmp_path / "whole.pth", num_classes=0).eval()
    assert caplog.messages == [
        f"{tmp_path}/whole.pth: classifier.weight, classifier.bias: left out, of 10 classes "
        "(num_classes=0)"
    ]
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(whole.classifier(model(x)), whole(x))


def test_a_classifier_for_a_file_without_one_is_asked_for(tmp_path):
    zoo.save(bare(V2), tmp_path / "bare.safetensors")
    assert zoo.create(V2, weights=tmp_path / "bare.safetensors").num_classes == 0
    with pytest.raises(
        zoo.WeightsError, match=r"num_classes \(=0\) must be 6; adapt=True starts a"
    ):
        zoo.create(V2, weights=tmp_path / "bare.safetensors", num_classes=6)
    model = zoo.create(V2, weights=tmp_path / "bare.safetensors", num_classes=6, adapt=True, seed=4)
    fresh = zoo.create(V2, num_classes=6, seed=4)
    assert torch.equal(model.classifier.weight, fresh.classifier.weight)
    assert not torch.equal(model.stem.conv.weight, fresh.stem.conv.weight)


def test_conversions(tmp_path):
    zoo.save(bare("shufflenet_v1_0.5x_g3"), tmp_path / "bare.pth")
    done = zoo.convert(tmp_path / "bare.pth", tmp_path / "theirs.pth", to_dialect="megvii")
    assert done.error == 0
    back = zoo.convert(tmp_path / "theirs.pth", tmp_path / "back.ckpt", model=done.spec)
    assert back.error == 0
    with pytest.raises(zoo.ConventionError, match="megvii cannot become mindcv"):
        zoo.convert(tmp_path / "bare.pth", tmp_path / "theirs.ckpt", to_dialect="mindcv")
    zoo.save(zoo.create("shufflenet_v1_0.5x_g3"), tmp_path / "whole.pth")
    cut = zoo.convert(tmp_path / "whole.pth", tmp_path / "cut.pth", num_classes=0)
    assert cut.notes == ("classifier.weight: left out, of 1000 classes (num_classes=0)",)
    assert zoo.load_weights(tmp_path / "cut.pth").spec == done.spec


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("names", "level"),
    [(["torch", "onnx", "openvino"], "forward"), (["torch", "mindspore"], "gradients")],
)
def test_parity(names, level):
    report = zoo.parity(V2, backends=names, level=level, num_classes=0)
    assert report.passed, str(report)


@pytest.mark.parametrize("kind", ["Flatten", "GlobalAvgPool2d"])
def test_parity_sees_a_mistake_in_the_last_node(kind, monkeypatch):
    from backends.torch import run

    honest = run.forward

    def wrong(graph, *args, **options):
        values, buffers = honest(graph, *args, **options)
        for node in graph.nodes:
            if type(node.op).__name__ == kind:
                values[node.name] = values[node.name] * np.float32(1 + 1e-5)
        return values, buffers

    monkeypatch.setattr("backends.torch.forward", wrong)
    report = zoo.parity(V2, backends=["torch"], level="forward", num_classes=0)
    assert not report.passed
    assert report.first_divergence in ("pool", "flatten")
